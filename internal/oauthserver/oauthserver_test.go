package oauthserver

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	read, write = "https://www.googleapis.com/auth/calendar.readonly", "https://www.googleapis.com/auth/calendar"
	userScope   = "https://www.googleapis.com/auth/admin.directory.user.readonly"
	admin, bob  = "admin@example.org", "bob@example.org"
	machine     = "machine@test.iam.gserviceaccount.com"
)

func serverOf(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Users == nil {
		o.Users = []User{{Email: admin, Admin: true}, {Email: bob}, {Email: "carol@example.org", Suspended: true}}
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends a request in the process and reads the answer.
func ask(t *testing.T, s *Server, method, target, bearer, media, body string) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", media)
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := s.Transport().RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var said map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	return resp.StatusCode, said
}

// grant posts a form to the token endpoint.
func grant(t *testing.T, s *Server, form ...string) (int, map[string]any) {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(form); i += 2 {
		v.Add(form[i], form[i+1])
	}
	return ask(t, s, http.MethodPost, "https://oauth2.googleapis.com/token", "", "application/x-www-form-urlencoded", v.Encode())
}

// jwtOf signs claims as RFC 7515 says.
func jwtOf(t *testing.T, key *rsa.PrivateKey, head, claims map[string]any) string {
	t.Helper()
	var parts []string
	for _, part := range []map[string]any{head, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, ".")))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(append(parts, base64.RawURLEncoding.EncodeToString(signature)), ".")
}

// claimsFor are good claims for a subject, changed by changes; nil takes one away.
func claimsFor(subject string, changes map[string]any) map[string]any {
	now := time.Now().Unix()
	c := map[string]any{
		"iss": DefaultAccount, "scope": read, "aud": "https://oauth2.googleapis.com/token", "iat": now, "exp": now + 3600, "sub": subject,
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func TestTheJWTGrantChecksWhatItsAssertionSays(t *testing.T) {
	s := serverOf(t, Options{})
	s.Delegate(bob, read)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	head := map[string]any{"alg": "RS256", "typ": "JWT", "kid": keyID}
	for name, test := range map[string]struct {
		head, changes map[string]any
		key           *rsa.PrivateKey
		status        int
		code          string
	}{
		"good":                      {},
		"without kid":               {head: map[string]any{"alg": "RS256"}},
		"of itself":                 {changes: map[string]any{"sub": nil}},
		"itself by name":            {changes: map[string]any{"sub": DefaultAccount}},
		"audience in a list":        {changes: map[string]any{"aud": []string{"x", "https://oauth2.googleapis.com/token"}}},
		"another key":               {key: other, status: 400, code: "invalid_grant"},
		"another kid":               {head: map[string]any{"alg": "RS256", "kid": "x"}, status: 400, code: "invalid_grant"},
		"alg none":                  {head: map[string]any{"alg": "none"}, status: 400, code: "invalid_grant"},
		"alg HS256":                 {head: map[string]any{"alg": "HS256"}, status: 400, code: "invalid_grant"},
		"another issuer":            {changes: map[string]any{"iss": "x@y"}, status: 400, code: "invalid_grant"},
		"another audience":          {changes: map[string]any{"aud": "https://example.org/token"}, status: 400, code: "invalid_grant"},
		"no audience":               {changes: map[string]any{"aud": nil}, status: 400, code: "invalid_grant"},
		"no iat":                    {changes: map[string]any{"iat": nil}, status: 400, code: "invalid_grant"},
		"no exp":                    {changes: map[string]any{"exp": nil}, status: 400, code: "invalid_grant"},
		"expired":                   {changes: map[string]any{"iat": now - 7200, "exp": now - 3600}, status: 400, code: "invalid_grant"},
		"of the future":             {changes: map[string]any{"iat": now + 3600, "exp": now + 7200}, status: 400, code: "invalid_grant"},
		"of two hours":              {changes: map[string]any{"exp": now + 7200}, status: 400, code: "invalid_grant"},
		"no scope":                  {changes: map[string]any{"scope": nil}, status: 400, code: "invalid_scope"},
		"no such scope":             {changes: map[string]any{"scope": "calendar"}, status: 400, code: "invalid_scope"},
		"a scope not delegated":     {changes: map[string]any{"scope": write}, status: 401, code: "unauthorized_client"},
		"one of two not delegated":  {changes: map[string]any{"scope": read + " " + write}, status: 401, code: "unauthorized_client"},
		"a subject without scopes":  {changes: map[string]any{"sub": admin}, status: 401, code: "unauthorized_client"},
		"nobody":                    {changes: map[string]any{"sub": "nobody@example.org"}, status: 400, code: "invalid_grant"},
		"somebody who is suspended": {changes: map[string]any{"sub": "carol@example.org"}, status: 400, code: "invalid_grant"},
	} {
		if test.head == nil {
			test.head = head
		}
		if test.key == nil {
			test.key = s.key
		}
		assertion := jwtOf(t, test.key, test.head, claimsFor(bob, test.changes))
		status, said := grant(t, s, "grant_type", jwtGrant, "assertion", assertion)
		if test.code == "" {
			_, alive := s.Valid(fmt.Sprint(said["access_token"]), read)
			if status != http.StatusOK || !alive || said["token_type"] != "Bearer" || said["expires_in"] != 3600.0 {
				t.Errorf("%s: %d %v", name, status, said)
			}
			continue
		}
		if status != test.status || said["error"] != test.code || said["access_token"] != nil {
			t.Errorf("%s: %d %v", name, status, said)
		}
	}
	for _, bad := range []string{"x", "a.b", "a.b.c", "..", strings.Repeat("a.", 5)} {
		if status, said := grant(t, s, "grant_type", jwtGrant, "assertion", bad); status != 400 || said["error"] != "invalid_grant" {
			t.Errorf("%s: %d %v", bad, status, said)
		}
	}
}

func TestTheTokenEndpointRefusesWhatRFC6749Refuses(t *testing.T) {
	s := serverOf(t, Options{})
	refresh, dead := s.SignIn(bob, read), s.SignIn(bob, read)
	s.RevokeSignIn(dead)
	client := []string{"client_id", UserClientID, "client_secret", UserClientSecret}
	for name, test := range map[string]struct {
		form   []string
		status int
		code   string
	}{
		"no grant":          {nil, 400, "invalid_request"},
		"another grant":     {[]string{"grant_type", "password"}, 400, "unsupported_grant_type"},
		"draft, other type": {[]string{"grant_type", "assertion", "assertion_type", "saml"}, 400, "unsupported_grant_type"},
		"no assertion":      {[]string{"grant_type", jwtGrant}, 400, "invalid_request"},
		"twice":             {[]string{"grant_type", jwtGrant, "grant_type", jwtGrant}, 400, "invalid_request"},
		"no client":         {[]string{"grant_type", "refresh_token", "refresh_token", refresh}, 400, "invalid_request"},
		"another client":    {[]string{"grant_type", "refresh_token", "refresh_token", refresh, "client_id", "x"}, 401, "invalid_client"},
		"another secret":    {[]string{"grant_type", "refresh_token", "refresh_token", refresh, "client_id", UserClientID}, 401, "invalid_client"},
		"no refresh token":  {append([]string{"grant_type", "refresh_token"}, client...), 400, "invalid_request"},
		"unknown":           {append([]string{"grant_type", "refresh_token", "refresh_token", "x"}, client...), 400, "invalid_grant"},
		"revoked":           {append([]string{"grant_type", "refresh_token", "refresh_token", dead}, client...), 400, "invalid_grant"},
		"more scope":        {append([]string{"grant_type", "refresh_token", "refresh_token", refresh, "scope", write}, client...), 400, "invalid_scope"},
	} {
		if status, said := grant(t, s, test.form...); status != test.status || said["error"] != test.code {
			t.Errorf("%s: %d %v", name, status, said)
		}
	}
	status, said := grant(t, s, append([]string{"grant_type", "refresh_token", "refresh_token", refresh}, client...)...)
	if who, alive := s.Valid(fmt.Sprint(said["access_token"]), read); status != 200 || who != bob || !alive || said["scope"] != read || said["refresh_token"] != nil {
		t.Errorf("good: %d %v", status, said)
	}
	if status, _ := ask(t, s, http.MethodGet, "https://oauth2.googleapis.com/token", "", "", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", status)
	}
	if status, said := ask(t, s, http.MethodPost, "https://oauth2.googleapis.com/token", "", "application/json", `{}`); status != 400 || said["error"] != "invalid_request" {
		t.Errorf("JSON: %d %v", status, said)
	}
}

func TestTokensEnd(t *testing.T) {
	s := serverOf(t, Options{})
	good, other := s.Issue(bob, read, userScope), s.Issue(admin, read)
	for name, test := range map[string]struct {
		token  string
		scopes []string
		who    string
		ok     bool
	}{
		"any": {good, nil, bob, true}, "one of two": {good, []string{write, read}, bob, true}, "another scope": {good, []string{write}, bob, false},
		"no token": {"", nil, "", false}, "unknown": {"x", []string{read}, "", false},
	} {
		if who, ok := s.Valid(test.token, test.scopes...); who != test.who || ok != test.ok {
			t.Errorf("%s: %q %v", name, who, ok)
		}
	}
	s.Revoke(good)
	if _, ok := s.Valid(good); ok {
		t.Error("a revoked token is good")
	}
	s.RevokeAll(bob)
	if _, ok := s.Valid(other); !ok {
		t.Error("another subject's token was revoked")
	}
	s.RevokeAll("")
	if _, ok := s.Valid(other); ok {
		t.Error("a token is good after all were revoked")
	}
	s.SetTokenLife(-time.Second)
	if _, ok := s.Valid(s.Issue(bob, read)); ok {
		t.Error("an expired token is good")
	}
}

func TestOnlyWhoMayImpersonates(t *testing.T) {
	s := serverOf(t, Options{Machine: machine})
	s.AllowImpersonation(machine)
	s.Delegate(bob, read)
	may, not := s.Issue(machine, cloudPlatform), s.Issue(bob, cloudPlatform)
	base := "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
	payload, err := json.Marshal(claimsFor(bob, nil))
	if err != nil {
		t.Fatal(err)
	}
	sign, err := json.Marshal(map[string]string{"payload": string(payload)})
	if err != nil {
		t.Fatal(err)
	}
	scopes := `{"scope":["` + read + `"],"lifetime":"3600s"}`
	for name, test := range map[string]struct {
		bearer, path, body string
		want               int
	}{
		"token":          {may, DefaultAccount + ":generateAccessToken", scopes, 200},
		"signature":      {may, DefaultAccount + ":signJwt", string(sign), 200},
		"no bearer":      {"", DefaultAccount + ":generateAccessToken", scopes, 401},
		"who may not":    {not, DefaultAccount + ":signJwt", string(sign), 403},
		"another scope":  {s.Issue(machine, read), DefaultAccount + ":generateAccessToken", scopes, 403},
		"another target": {may, "x@y:generateAccessToken", scopes, 404},
		"no scope":       {may, DefaultAccount + ":generateAccessToken", `{}`, 400},
		"two hours":      {may, DefaultAccount + ":generateAccessToken", `{"scope":["` + read + `"],"lifetime":"7200s"}`, 400},
		"no payload":     {may, DefaultAccount + ":signJwt", `{"payload":"x"}`, 400},
	} {
		status, said := ask(t, s, http.MethodPost, base+test.path, test.bearer, "application/json", test.body)
		if status != test.want {
			t.Errorf("%s: %d %v", name, status, said)
		}
		if token := fmt.Sprint(said["accessToken"]); status == 200 && said["accessToken"] != nil {
			expires, err := time.Parse(time.RFC3339, fmt.Sprint(said["expireTime"]))
			if who, alive := s.Valid(token, read); who != DefaultAccount || !alive || err != nil || time.Until(expires) > time.Hour {
				t.Errorf("%s: %v", name, said)
			}
		}
		if assertion := fmt.Sprint(said["signedJwt"]); said["signedJwt"] != nil {
			s.DeleteKey() // which this one is not signed with
			status, said := grant(t, s, "grant_type", draftGrant, "assertion_type", draftType, "assertion", assertion)
			if who, alive := s.Valid(fmt.Sprint(said["access_token"]), read); status != 200 || who != bob || !alive {
				t.Errorf("%s: %d %v", name, status, said)
			}
		}
	}
}

func TestTheMetadataServerWantsItsHeader(t *testing.T) {
	s := serverOf(t, Options{Machine: machine})
	for _, test := range []struct {
		flavor, path string
		want         int
	}{
		{"Google", "default/token?scopes=" + read + "," + write, 200}, {"Google", machine + "/token", 200},
		{"", "default/token", 403}, {"Google", "x@y/token", 404}, {"Google", "default/email", 404},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/"+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Metadata-Flavor", test.flavor)
		resp, err := s.Transport().RoundTrip(r)
		if err == nil {
			resp.Body.Close()
		}
		if err != nil || resp.StatusCode != test.want || resp.Header.Get("Metadata-Flavor") != "Google" {
			t.Errorf("%s: %v %v", test.path, resp, err)
		}
	}
	requests := s.Requests()
	if first := requests[0]; first.Subject != machine || !slices.Equal(first.Scopes, []string{read, write}) {
		t.Errorf("%+v", first)
	}
}

func TestTheDirectoryListsInPages(t *testing.T) {
	users := []User{{Email: admin, Admin: true, GivenName: "Ada", Family: "Admin"}}
	for i := range 7 {
		users = append(users, User{Email: fmt.Sprintf("u%d@example.org", 7-i), OrgUnit: "/staff/it", Suspended: i == 0, Archived: i == 1})
	}
	s := serverOf(t, Options{Users: users})
	token := s.Issue(admin, userScope)
	list := func(query string) (int, []string, map[string]any) {
		status, said := ask(t, s, http.MethodGet, "https://admin.googleapis.com/admin/directory/v1/users?"+query, token, "", "")
		var names []string
		list, _ := said["users"].([]any)
		for _, u := range list {
			names = append(names, strings.TrimSuffix(fmt.Sprint(u.(map[string]any)["primaryEmail"]), "@example.org"))
		}
		return status, names, said
	}
	var all []string
	page := ""
	for range 3 {
		_, names, said := list("customer=my_customer&maxResults=3&orderBy=email&pageToken=" + url.QueryEscape(page))
		all = append(all, names...)
		page, _ = said["nextPageToken"].(string)
	}
	if !slices.Equal(all, []string{"admin", "u1", "u2", "u3", "u4", "u5", "u6", "u7"}) || page != "" {
		t.Errorf("%q, then %q", all, page)
	}
	for query, want := range map[string][]string{
		"isSuspended=true": {"u7"}, "isArchived=true": {"u6"}, "isAdmin=true": {"admin"}, "email:u1*": {"u1"}, "orgUnitPath=/staff isSuspended=true": {"u7"},
		"orgUnitPath=/sta": nil, "name='Ada Admin'": {"admin"}, "ada": {"admin"}, "givenName:ad*": {"admin"}, "email=u3@example.org": {"u3"},
	} {
		if status, names, said := list("customer=C00test00&query=" + url.QueryEscape(query)); status != 200 || !slices.Equal(names, want) {
			t.Errorf("%s: %d %v", query, status, said)
		}
	}
	for _, bad := range []string{
		"", "customer=other", "customer=my_customer&maxResults=501", "customer=my_customer&query=nick%3Dx", "customer=my_customer&pageToken=x",
		"customer=my_customer&fields=users(", "customer=my_customer&orderBy=age",
	} {
		if status, _, said := list(bad); status != http.StatusBadRequest {
			t.Errorf("%s: %d %v", bad, status, said)
		}
	}
	_, _, said := list("customer=my_customer&maxResults=1&fields=users(primaryEmail,name(givenName)),etag")
	if text, _ := json.Marshal(said); string(text) != `{"etag":"\"test\"","users":[{"name":{"givenName":"Ada"},"primaryEmail":"`+admin+`"}]}` {
		t.Errorf("masked: %s", text)
	}
	for bearer, want := range map[string]int{"": 401, s.Issue(admin, read): 403, s.Issue("u1@example.org", userScope): 403} {
		if status, said := ask(t, s, http.MethodGet, "https://admin.googleapis.com/admin/directory/v1/users?customer=my_customer", bearer, "", ""); status != want {
			t.Errorf("%d %v, not %d", status, said, want)
		}
	}
}

func TestItServesOverTheNetwork(t *testing.T) {
	s := serverOf(t, Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	redirected, err := Redirect("http://"+ln.Addr().String(), transport)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: redirected}
	for base, audience := range map[string]string{
		"https://oauth2.googleapis.com": "https://oauth2.googleapis.com/token", "http://" + ln.Addr().String(): "http://" + ln.Addr().String() + "/token",
	} {
		form := url.Values{"grant_type": {jwtGrant}, "assertion": {jwtOf(t, s.key, map[string]any{"alg": "RS256"}, claimsFor("", map[string]any{"aud": audience}))}}
		resp, err := client.PostForm(base+"/token", form)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte("access_token")) || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s %v", base, resp.StatusCode, body, err)
		}
	}
	hangs := make(chan struct{}, 1)
	s.Fault(func(Kind, *http.Request) Fault {
		hangs <- struct{}{}
		return Fault{Hang: true}
	})
	ended := make(chan error, 1)
	go func() {
		resp, err := client.PostForm("https://oauth2.googleapis.com/token", url.Values{"grant_type": {jwtGrant}})
		if err == nil {
			_ = resp.Body.Close()
		}
		ended <- err
	}()
	<-hangs
	cancel()
	if err := <-ended; err == nil {
		t.Error("a server that hangs answered")
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestFilesHoldWhatTheServerTakes(t *testing.T) {
	s := serverOf(t, Options{Account: "other@test.iam.gserviceaccount.com", ClientID: "7"})
	dir := t.TempDir()
	key, user := filepath.Join(dir, "key.json"), filepath.Join(dir, "user.json")
	if err := s.WriteServiceAccount(key, "http://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	refresh := s.SignIn(bob, read)
	if err := s.WriteAuthorizedUser(user, "http://127.0.0.1:1", refresh); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]map[string]string{
		key:  {"type": "service_account", "client_email": "other@test.iam.gserviceaccount.com", "client_id": "7", "token_uri": "http://127.0.0.1:1/token"},
		user: {"type": "authorized_user", "refresh_token": refresh, "client_id": UserClientID, "client_secret": UserClientSecret},
	} {
		data, err := os.ReadFile(file)
		var said map[string]string
		if err := errorOf(err, json.Unmarshal(data, &said)); err != nil {
			t.Fatal(err)
		}
		for k, v := range want {
			if said[k] != v {
				t.Errorf("%s: %s is %q", file, k, said[k])
			}
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
}

// errorOf is the first error.
func errorOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestAnOutageEndsAndIsLogged(t *testing.T) {
	s := serverOf(t, Options{})
	s.Delegate(bob, read)
	assertion := jwtOf(t, s.key, map[string]any{"alg": "RS256"}, claimsFor(bob, nil))
	s.Outage(http.StatusInternalServerError)
	if status, _ := grant(t, s, "grant_type", jwtGrant, "assertion", assertion); status != http.StatusInternalServerError {
		t.Errorf("%d", status)
	}
	s.Outage(0)
	if status, _ := grant(t, s, "grant_type", jwtGrant, "assertion", assertion); status != http.StatusOK {
		t.Errorf("%d", status)
	}
	s.Withdraw(bob)
	if status, _ := grant(t, s, "grant_type", jwtGrant, "assertion", assertion); status != http.StatusUnauthorized {
		t.Errorf("%d", status)
	}
	log := s.Requests()
	if len(log) != 3 || log[0].Status != 500 || log[1].Subject != bob || !slices.Equal(log[1].Scopes, []string{read}) || log[2].Code != "unauthorized_client" {
		t.Errorf("%+v", log)
	}
}
