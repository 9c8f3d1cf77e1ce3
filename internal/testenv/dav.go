package testenv

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// The users that every server has.
const (
	User      = "alice"
	Password  = "secret"
	User2     = "bob"
	Password2 = "secret2"
)

// DAV is a running CalDAV server as a client sees it.
type DAV struct {
	Kind     string // radicale, xandikos, davical, sabredav
	URL      string // what a user would configure; ends in a slash
	User     string
	Password string
	Home     string // absolute path of the user's calendar home; ends in a slash
	Tokens   bool   // it has sync-collection (RFC 6578)
	// Silent says that it answers a forgotten token with a full list, as if nothing were wrong.
	Silent bool

	process    *Process
	invalidate func(ctx context.Context, collection string) error
	newUser    func(ctx context.Context, name string) error
	close      func()
}

// Endpoint is URL with the user's name and password in it.
func (d *DAV) Endpoint() string {
	u, err := url.Parse(d.URL)
	if err != nil {
		return d.URL
	}
	u.User = url.UserPassword(d.User, d.Password)
	return u.String()
}

// InvalidateTokens makes the server forget every sync token that it has given for the collection, by its decoded
// path, such as /alice/work/. The collection's content stays.
func (d *DAV) InvalidateTokens(ctx context.Context, collection string) error {
	if d.invalidate == nil {
		return fmt.Errorf("invalidating tokens: %s has none", d.Kind)
	}
	if err := d.invalidate(ctx, collection); err != nil {
		return fmt.Errorf("invalidating tokens of %s: %w", collection, err)
	}
	return nil
}

// WithUser makes another user with an empty home and the same password, and returns the server as that user sees it.
func (d *DAV) WithUser(ctx context.Context, name string) (*DAV, error) {
	if d.newUser == nil {
		return nil, fmt.Errorf("making user %s: %s has one only", name, d.Kind)
	}
	if err := d.newUser(ctx, name); err != nil {
		return nil, fmt.Errorf("making user %s: %w", name, err)
	}
	other := *d
	other.User, other.Home, other.close = name, strings.Replace(d.Home, "/"+d.User+"/", "/"+name+"/", 1), nil
	return &other, nil
}

// Pause lets the server hang (SIGSTOP) until Resume.
func (d *DAV) Pause() { d.process.Pause() }

// Resume lets a paused server go on.
func (d *DAV) Resume() { d.process.Resume() }

// Kill ends the server at once; Start starts it again, with its data.
func (d *DAV) Kill() { d.process.Kill() }

// Start starts the server again and waits until it answers.
func (d *DAV) Start(ctx context.Context) error {
	if err := d.process.boot(); err != nil {
		return err
	}
	return d.await(ctx)
}

// Close ends the server; its data is not needed any more.
func (d *DAV) Close() {
	if d.process != nil && d.process.cmd != nil && d.process.cmd.Process != nil {
		d.process.Kill()
	}
	if d.close != nil {
		d.close()
	}
}

// await waits until the server answers the user's PROPFIND of the home.
func (d *DAV) await(ctx context.Context) error {
	return d.process.await(ctx, func(ctx context.Context) error {
		status, err := d.request(ctx, "PROPFIND", d.Home)
		if err == nil && status != http.StatusMultiStatus {
			err = fmt.Errorf("PROPFIND %s: status %d", d.Home, status)
		}
		return err
	})
}

// request sends a request with an empty body to a path of the server and returns the status.
func (d *DAV) request(ctx context.Context, method, path string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	u, err := url.Parse(d.URL)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, method, u.Scheme+"://"+u.Host+path, http.NoBody)
	if err != nil {
		return 0, err
	}
	req.SetBasicAuth(d.User, d.Password)
	req.Header.Set("Depth", "0")
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, nil
}

// serve starts argv as the server's process and waits until it answers.
func (d *DAV) serve(ctx context.Context, dir string, spec command) (*DAV, error) {
	var err error
	if d.process, err = startProcess(d.Kind, dir, spec); err == nil {
		err = d.await(ctx)
	}
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("starting %s: %w", d.Kind, err)
	}
	return d, nil
}

// onePort returns a free port and the URL of the server's root on it.
func onePort() (port int, base string, err error) {
	ports, err := freePorts(1)
	if err != nil {
		return 0, "", err
	}
	return ports[0], fmt.Sprintf("http://127.0.0.1:%d/", ports[0]), nil
}

func writeFiles(files map[string]string) error {
	for path, content := range files {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}
