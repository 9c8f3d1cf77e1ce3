package rig

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// FreeAddr is an address of the loopback that nothing listens on.
func FreeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Metrics are the lines of /metrics.
type Metrics []string

// Scrape asks an admin server for its metrics.
func Scrape(ctx context.Context, addr string) (Metrics, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("/metrics of %s: status %d", addr, resp.StatusCode)
	}
	return strings.Split(string(b), "\n"), err
}

// Sum adds the values of a metric's series that have all the labels, each as name="value"; found counts them.
func (m Metrics) Sum(name string, labels ...string) (sum float64, found int) {
	for _, line := range m {
		at := strings.LastIndexByte(line, ' ')
		if at < 0 {
			continue
		}
		series := line[:at]
		if bare, _, _ := strings.Cut(series, "{"); bare != name ||
			slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(series, l) }) {
			continue
		}
		if v, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			sum, found = sum+v, found+1
		}
	}
	return sum, found
}

// Label is a label as Sum wants it.
func Label(name, value string) string { return fmt.Sprintf("%s=%q", name, value) }
