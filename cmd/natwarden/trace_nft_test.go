package main

import (
	"context"
	"strconv"

	"github.com/natwarden/natwarden/internal/nft"
)

func nftGeneration(ctx context.Context) (string, error) {
	g, err := nft.Generation(ctx)
	return strconv.FormatUint(uint64(g), 10), err
}
