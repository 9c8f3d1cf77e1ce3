package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/calcdc/calcdc/internal/oauthserver"
)

// edKey is a key that is not RSA.
const edKey = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n"

func TestAFileThatIsNoCredentialsSaysWhy(t *testing.T) {
	s := tokenServer(t)
	good, err := s.ServiceAccountJSON("")
	if err != nil {
		t.Fatal(err)
	}
	with := func(key, value string) string {
		var f map[string]any
		if err := json.Unmarshal(good, &f); err != nil {
			t.Fatal(err)
		}
		f[key] = value
		text, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	nested := `{"type":"authorized_user"}`
	for range 6 {
		nested = `{"type":"impersonated_service_account","service_account_impersonation_url":"https://iamcredentials.googleapis.com/x","source_credentials":` + nested + `}`
	}
	for text, want := range map[string]string{
		``:                                "not the JSON of credentials",
		`[]`:                              "not the JSON of credentials",
		`null`:                            "type is missing",
		`{"type":1}`:                      "not the JSON of credentials",
		`{"type":"gdch_service_account"}`: `type "gdch_service_account" is not known`,
		`{"installed":{"client_id":"x"}}`: "describes an OAuth client",
		`{"type":"authorized_user"}`:      "client_id is missing\nclient_secret is missing\nrefresh_token is missing",
		`{"type":"service_account"}`:      "client_email is missing\nprivate_key is missing",
		`{"type":"external_account"}`:     "audience is missing\ntoken_url is missing",
		`{"type":"impersonated_service_account"}`:                     "source_credentials is missing",
		`{"type":"external_account_authorized_user","token_url":"x"}`: "token_url: it is not a URL",
		with("private_key", "x"):                                      "private_key is not the PEM of an RSA key",
		with("private_key", edKey):                                    "private_key is not the PEM of an RSA key",
		with("private_key", strings.Repeat("x", maxKey+1)):            "private_key is not the PEM of an RSA key",
		with("token_uri", "http://oauth2.example.org/"):               "token_uri: it must begin with https://",
		with("token_uri", "file:///etc/passwd"):                       "token_uri: it is not a URL",
		with("token_uri", "https://u:p@example.org/"):                 "token_uri: it is not a URL",
		nested: "more than 4 credentials within each other",
		strings.Repeat(`{"source_credentials":`, 11000): "not the JSON of credentials",
		strings.Repeat(" ", maxFile+1):                  "more than 256 KiB",
	} {
		_, err := New(Config{File: put(t, []byte(text), nil)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v", text, err)
		}
	}
}

func TestAFileThatIsNotThereOrNoFileIsAnError(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{dir: "is not a file", pipe: "is not a file", filepath.Join(dir, "none"): "no such file"} {
		if _, err := New(Config{File: name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		noDefaults(t)
		t.Setenv(environment, name)
		if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s by %s: %v", name, environment, err)
		}
	}
	if _, err := New(Config{File: filepath.Join(dir, "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestAConfigThatIsWrongIsRefused(t *testing.T) {
	noDefaults(t)
	for want, c := range map[string]Config{
		"exclude each other":           {File: "x", AccessToken: "y"},
		"access_token: ":               {AccessToken: "two words"},
		"not the e-mail address":       {Impersonate: "x/../y"},
		`impersonate: "A@example.org"`: {Impersonate: "A@example.org"},
		`impersonate: "a@b?c"`:         {Impersonate: "a@b?c"},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestAFileThatImpersonatesIsUsed(t *testing.T) {
	s := tokenServer(t)
	s.AllowImpersonation(alice)
	user, err := s.AuthorizedUserJSON("", s.SignIn(alice, cloudPlatform))
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"type":"impersonated_service_account","service_account_impersonation_url":`+
		`"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/%s:generateAccessToken","source_credentials":%s}`,
		oauthserver.DefaultAccount, user)
	cred := mustNew(t, Config{File: put(t, []byte(text), nil), Transport: s.Transport()})
	if who, ok := s.Valid(mustToken(t, cred.Tokens("", calendarScope)), calendarScope); who != oauthserver.DefaultAccount || !ok {
		t.Errorf("a token of %q", who)
	}
	if cred.Delegation() == nil {
		t.Error("it can delegate")
	}
}

func TestAFileOfWorkloadIdentityIsUsed(t *testing.T) {
	proof := put(t, []byte("the-token-of-the-workload"), nil)
	text := fmt.Sprintf(`{"type":"external_account","audience":"//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",`+
		`"subject_token_type":"urn:ietf:params:oauth:token-type:jwt","token_url":"https://sts.googleapis.com/v1/token","credential_source":{"file":%q}}`, proof)
	sts := transportFunc(func(r *http.Request) (*http.Response, error) { // RFC 8693
		body, status := `{"access_token":"ya29.federated","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":3600}`, 200
		if err := r.ParseForm(); err != nil || r.URL.Host != "sts.googleapis.com" || r.Form.Get("subject_token") != "the-token-of-the-workload" || r.Form.Get("scope") != calendarScope {
			body, status = `{"error":"invalid_grant","error_description":"the-token-of-the-workload is bad"}`, 400
		}
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})
	cred := mustNew(t, Config{File: put(t, []byte(text), nil), Transport: sts})
	if token := mustToken(t, cred.Tokens("", calendarScope)); token != "ya29.federated" {
		t.Errorf("token %q", token)
	}
	e := refusal(t, cred.Tokens("", aclScope))
	if strings.Contains(e.Error(), "of-the-workload") || e.Code != "invalid_grant" {
		t.Errorf("%v", e)
	}
	if err := os.Remove(proof); err != nil {
		t.Fatal(err)
	}
	if e := refusal(t, cred.Tokens("", cloudPlatform)); e.Status != 0 {
		t.Errorf("%v", e)
	}
}

// FuzzFile feeds hostile credentials files to New and to a request for a token, of which nothing leaves the process.
func FuzzFile(f *testing.F) {
	s := tokenServer(f)
	key, err := s.ServiceAccountJSON("")
	if err != nil {
		f.Fatal(err)
	}
	user, err := s.AuthorizedUserJSON("", s.SignIn(alice, calendarScope))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		string(key), string(user), `{}`, `{"type":"external_account","audience":"a","token_url":"https://b/","credential_source":{"url":"http://c/"}}`,
		`{"type":"external_account","audience":"a","token_url":"https://b/","credential_source":{"environment_id":"aws1"}}`,
		`{"type":"external_account_authorized_user","client_id":"a","refresh_token":"b","token_url":"https://c/"}`,
		`{"type":"impersonated_service_account","service_account_impersonation_url":"https://a/","source_credentials":` + string(user) + `}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := parseFile(data)
		if err != nil {
			return
		}
		cred := newCredentials(k, s.Transport())
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		token, err := cred.Tokens("", calendarScope).Token(ctx)
		if (token == "") == (err == nil) {
			t.Errorf("token %q, error %v", token, err)
		}
	})
}
