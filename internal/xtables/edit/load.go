package edit

import (
	"context"
	"errors"
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xtables"
)

// Load makes the tables that a snapshot holds (World's file x_tables.raw) in the
// network namespace of the calling thread, which must be an empty one: for
// rehearsals. It says in words which tables the kernel did not take. To ask for a table
// is what creates it.
func Load(ctx context.Context, file []byte) (lacking []string, err error) {
	d, err := ReadFile(file)
	if err != nil {
		return nil, err
	}
	is, err := xtables.Read(ctx)
	if err != nil {
		return nil, err
	}
	if len(is.Tables) > 0 {
		return nil, fmt.Errorf("loading x_tables: the namespace holds %d tables already, and only an empty one is loaded", len(is.Tables))
	}
	for _, family := range []host.Family{host.IP, host.IP6} {
		missing, err := loadFamily(ctx, d, family)
		if err != nil {
			return nil, err
		}
		lacking = append(lacking, missing...)
	}
	return lacking, nil
}

func loadFamily(ctx context.Context, d *xtables.Dump, family host.Family) (lacking []string, err error) {
	var s *xtables.Socket
	for _, t := range d.Tables {
		if t.Family != family {
			continue
		}
		if s == nil {
			if s, err = xtables.OpenSocket(family); err != nil {
				return nil, err
			}
			defer s.Close()
		}
		if err := loadTable(ctx, s, d, t); err != nil {
			lacking = append(lacking, fmt.Sprintf("legacy %s %s: %v", t.Family, t.Name, err))
		}
	}
	return lacking, nil
}

func loadTable(ctx context.Context, s *xtables.Socket, d *xtables.Dump, t *xtables.Table) error {
	fresh, err := xtables.ReadTable(ctx, s, t.Family, t.Name)
	if err != nil {
		return err
	}
	is, errIs := takeApart(d, fresh)
	becomes, errBecomes := takeApart(d, t)
	if err := errors.Join(errIs, errBecomes); err != nil {
		return err
	}
	now, errIs := is.build()
	next, errBecomes := becomes.build()
	if err := errors.Join(errIs, errBecomes); err != nil {
		return err
	}
	return replace(s, now, next)
}
