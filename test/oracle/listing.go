package oracle

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Server is a calendar server as a plain client sees it.
type Server struct {
	URL            string // of the root: scheme and host count
	User, Password string
	Home           string // path of the calendar home
	Client         *http.Client
	// TrustETags reads a body again only where its ETag has changed, for large collections.
	TrustETags bool

	bodies map[string]string // by href and ETag
}

// Collection is a calendar as the server lists it.
type Collection struct {
	Name      string            // display name, "" where it has none
	Resources map[string]string // bodies by decoded name
}

// multistatus is RFC 4918's, as far as it matters here.
type multistatus struct {
	Responses []response `xml:"DAV: response"`
}

type response struct {
	Href      string `xml:"DAV: href"`
	Propstats []struct {
		Status string `xml:"DAV: status"`
		Prop   struct {
			Type struct {
				Calendar   *struct{} `xml:"urn:ietf:params:xml:ns:caldav calendar"`
				Collection *struct{} `xml:"DAV: collection"`
			} `xml:"DAV: resourcetype"`
			Name string `xml:"DAV: displayname"`
			ETag string `xml:"DAV: getetag"`
		} `xml:"DAV: prop"`
	} `xml:"DAV: propstat"`
}

const propfind = `<?xml version="1.0" encoding="utf-8"?>
<propfind xmlns="DAV:"><prop><resourcetype/><displayname/><getetag/></prop></propfind>`

// List reads the home, every calendar in it, and every resource of each with a GET of its own. Keys are decoded
// paths with their last slash.
func (s *Server) List(ctx context.Context) (map[string]Collection, error) {
	home, err := s.propfind(ctx, s.Home)
	if err != nil {
		return nil, err
	}
	all := map[string]Collection{}
	for _, r := range home.Responses {
		for _, p := range r.Propstats {
			if p.Prop.Type.Calendar == nil || !strings.Contains(p.Status, " 200") {
				continue
			}
			path, err := decoded(absolute(s.Home, r.Href))
			if err != nil {
				return nil, err
			}
			path = strings.TrimSuffix(path, "/") + "/"
			members, err := s.members(ctx, path)
			if err != nil {
				return nil, err
			}
			all[path] = Collection{Name: p.Prop.Name, Resources: members}
		}
	}
	return all, nil
}

func (s *Server) members(ctx context.Context, collection string) (map[string]string, error) {
	base := (&url.URL{Path: collection}).EscapedPath()
	listed, err := s.propfind(ctx, base)
	if err != nil {
		return nil, err
	}
	members := map[string]string{}
	for _, r := range listed.Responses {
		href := absolute(base, r.Href)
		path, err := decoded(href)
		if err != nil {
			return nil, err
		}
		name, inside := strings.CutPrefix(path, collection)
		if !inside || name == "" || strings.HasSuffix(name, "/") {
			continue
		}
		body, err := s.body(ctx, href, etag(r))
		if err != nil {
			return nil, err
		}
		members[name] = body
	}
	return members, nil
}

// body GETs a resource.
func (s *Server) body(ctx context.Context, href, etag string) (string, error) {
	key := href + " " + etag
	if body, ok := s.bodies[key]; ok && s.TrustETags && etag != "" {
		return body, nil
	}
	status, body, err := s.Do(ctx, http.MethodGet, href, nil, "")
	if err != nil {
		return "", err
	}
	if status != http.StatusOK {
		return "", fmt.Errorf("GET %s: status %d", href, status)
	}
	if s.TrustETags {
		if s.bodies == nil {
			s.bodies = map[string]string{}
		}
		s.bodies[key] = body
	}
	return body, nil
}

func etag(r response) string {
	for _, p := range r.Propstats {
		if p.Prop.ETag != "" {
			return p.Prop.ETag
		}
	}
	return ""
}

func (s *Server) propfind(ctx context.Context, path string) (*multistatus, error) {
	header := map[string]string{"Depth": "1", "Content-Type": "application/xml; charset=utf-8"}
	status, body, err := s.Do(ctx, "PROPFIND", path, header, propfind)
	if err != nil {
		return nil, err
	}
	if status != http.StatusMultiStatus {
		return nil, fmt.Errorf("PROPFIND %s: status %d: %.300s", path, status, body)
	}
	var m multistatus
	if err := xml.Unmarshal([]byte(body), &m); err != nil {
		return nil, fmt.Errorf("PROPFIND %s: %w", path, err)
	}
	return &m, nil
}

// Do sends one request; path is escaped already.
func (s *Server) Do(ctx context.Context, method, path string, header map[string]string, body string) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	u, err := url.Parse(s.URL)
	if err != nil {
		return 0, "", err
	}
	req, err := http.NewRequestWithContext(ctx, method, u.Scheme+"://"+u.Host+path, strings.NewReader(body))
	if err != nil {
		return 0, "", fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.SetBasicAuth(s.User, s.Password)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", fmt.Errorf("%s %s: %w", method, path, err)
	}
	return resp.StatusCode, string(b), nil
}

// absolute is the href's path as the server wrote it; a relative one is the collection's member (Xandikos writes
// c%3A1.ics for a name with a colon).
func absolute(base, href string) string {
	if _, rest, ok := strings.Cut(href, "://"); ok {
		return rest[max(strings.IndexByte(rest, '/'), 0):]
	}
	if !strings.HasPrefix(href, "/") {
		return base + href
	}
	return href
}

func decoded(path string) (string, error) {
	p, err := url.PathUnescape(path)
	if err != nil {
		return "", fmt.Errorf("decoding href %s: %w", path, err)
	}
	return p, nil
}
