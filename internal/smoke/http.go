package smoke

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/natwarden/natwarden/internal/host"
)

const (
	bodyLimit   = 1 << 20  // bytes of a body that are looked at
	headerLimit = 64 << 10 // bytes
	mostFollows = 5
)

// askHTTP asks for a page once, over a connection of its own.
func askHTTP(ctx context.Context, h *host.HTTPProbe, files Files) error {
	trust, err := certificates(h, files)
	if err != nil {
		return err
	}
	transport := &http.Transport{ // without Proxy: none is taken from the environment
		DialContext: dialer().DialContext, TLSClientConfig: trust, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: headerLimit,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if !h.Follow {
			return http.ErrUseLastResponse
		}
		if len(via) > mostFollows {
			return fmt.Errorf("more than %d redirects", mostFollows)
		}
		return nil
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "natwarden")
	response, err := client.Do(request)
	if err != nil {
		var about *url.Error
		if errors.As(err, &about) {
			err = about.Err
		}
		return short(err)
	}
	defer response.Body.Close()
	return judge(h, response)
}

// judge holds a response against what is expected.
func judge(h *host.HTTPProbe, response *http.Response) error {
	if response.StatusCode != h.Status {
		if to := response.Header.Get("Location"); to != "" {
			return fmt.Errorf("it answered %d (to %.200q), not %d", response.StatusCode, to, h.Status)
		}
		return fmt.Errorf("it answered %d, not %d", response.StatusCode, h.Status)
	}
	if h.Body == "" {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit))
	if bytes.Contains(body, []byte(h.Body)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the body: %w", err)
	}
	return fmt.Errorf("its body does not hold %.200q; it begins %.80q", h.Body, body)
}

// certificates says which servers are believed.
func certificates(h *host.HTTPProbe, files Files) (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: h.Insecure}
	if h.CA == "" {
		return config, nil
	}
	data, err := files.Read(h.CA)
	if err != nil {
		return nil, err
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("reading certificates from %s: it holds none", h.CA)
	}
	return config, nil
}
