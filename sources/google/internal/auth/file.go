package auth

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

const (
	maxFile    = 256 << 10 // bytes of a credentials file
	maxKey     = 16 << 10  // bytes of the PEM of a private key
	maxKeyBits = 8192
	maxNesting = 4 // credentials within credentials
)

// file is what a credentials file says, as far as it is checked here.
type file struct {
	Type         string          `json:"type"`
	ClientEmail  string          `json:"client_email"`
	ClientID     string          `json:"client_id"`
	ClientSecret string          `json:"client_secret"`
	PrivateKey   string          `json:"private_key"`
	RefreshToken string          `json:"refresh_token"`
	TokenURI     string          `json:"token_uri"`
	TokenURL     string          `json:"token_url"`
	Impersonate  string          `json:"service_account_impersonation_url"`
	Audience     string          `json:"audience"`
	Source       *file           `json:"source_credentials"`
	Installed    json.RawMessage `json:"installed"` // what the console gives for an OAuth client: not a credential
	Web          json.RawMessage `json:"web"`
}

// readFile reads and checks a credentials file.
func readFile(name string) (kind, error) {
	data, err := readBounded(name)
	if err != nil {
		return nil, fmt.Errorf("reading the credentials file: %w", err)
	}
	k, err := parseFile(data)
	if err != nil {
		return nil, fmt.Errorf("credentials file %s: %w", name, err)
	}
	return k, nil
}

// readBounded reads a regular file of at most maxFile bytes.
func readBounded(name string) ([]byte, error) {
	info, err := os.Stat(name) // before opening: opening a named pipe waits for its writer
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s has more than %d KiB", name, maxFile>>10)
	}
	return data, err
}

// parseFile reads a credentials file. Its errors hold nothing of what stands in it but its type.
func parseFile(data []byte) (kind, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, errors.New("it is not the JSON of credentials")
	}
	if err := f.check(0); err != nil {
		return nil, err
	}
	switch google.CredentialsType(f.Type) {
	case google.ServiceAccount:
		conf, err := google.JWTConfigFromJSON(data)
		if err != nil {
			return nil, errors.New("it is not a service account's key")
		}
		return &serviceAccount{conf: *conf, clientID: f.ClientID}, nil
	case google.AuthorizedUser:
		endpoint := oauth2.Endpoint{TokenURL: google.Endpoint.TokenURL, AuthStyle: oauth2.AuthStyleInParams}
		if f.TokenURI != "" {
			endpoint.TokenURL = f.TokenURI
		}
		conf := oauth2.Config{ClientID: f.ClientID, ClientSecret: f.ClientSecret, Endpoint: endpoint}
		return &authorizedUser{conf: conf, refresh: f.RefreshToken}, nil
	default: // check has passed it
	}
	return &federated{typ: google.CredentialsType(f.Type), data: data, secrets: f.secrets()}, nil
}

// check says what a file lacks for its type, and refuses to send secrets in the clear.
func (f *file) check(depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("more than %d credentials within each other", maxNesting)
	}
	for key, u := range map[string]string{
		"token_uri": f.TokenURI, "token_url": f.TokenURL, "service_account_impersonation_url": f.Impersonate,
	} {
		if err := checkURL(u); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	switch google.CredentialsType(f.Type) {
	case google.ServiceAccount:
		return errors.Join(f.lacks("client_email", f.ClientEmail, "private_key", f.PrivateKey), checkKey(f.PrivateKey))
	case google.AuthorizedUser:
		return f.lacks("client_id", f.ClientID, "client_secret", f.ClientSecret, "refresh_token", f.RefreshToken)
	case google.ExternalAccount:
		return f.lacks("audience", f.Audience, "token_url", f.TokenURL)
	case google.ExternalAccountAuthorizedUser:
		return f.lacks("client_id", f.ClientID, "refresh_token", f.RefreshToken, "token_url", f.TokenURL)
	case google.ImpersonatedServiceAccount:
		if f.Source == nil {
			return errors.New("source_credentials is missing")
		}
		return errors.Join(f.lacks("service_account_impersonation_url", f.Impersonate), f.Source.check(depth+1))
	case "":
		if f.Installed != nil || f.Web != nil {
			return errors.New("it describes an OAuth client, which is not yet a credential: sign in with it " +
				"(gcloud auth application-default login --client-id-file=…) and use the file that this writes")
		}
		return errors.New("type is missing")
	default:
	}
	return fmt.Errorf("type %q is not known", clip(f.Type))
}

// lacks names the keys, each before its value, that are empty.
func (f *file) lacks(keysAndValues ...string) error {
	var errs []error
	for i := 0; i < len(keysAndValues); i += 2 {
		if keysAndValues[i+1] == "" {
			errs = append(errs, fmt.Errorf("%s is missing", keysAndValues[i]))
		}
	}
	return errors.Join(errs...)
}

// secrets are what no error may show.
func (f *file) secrets() []string {
	list := []string{f.ClientSecret, f.RefreshToken, f.PrivateKey}
	if f.Source != nil {
		list = append(list, f.Source.secrets()...)
	}
	return list
}

// checkURL refuses to send secrets in the clear, but to this machine. "" passes: it stands for Google's.
func checkURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil {
		return errors.New("it is not a URL")
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme == "https" || u.Scheme == "http" && local {
		return nil
	}
	return errors.New("it must begin with https://")
}

// checkKey says whether a private key is one that can sign RS256 (RFC 7518 3.3), in reasonable time.
func checkKey(text string) error {
	if text == "" {
		return nil // lacks says so
	}
	bad := errors.New("private_key is not the PEM of an RSA key")
	if len(text) > maxKey {
		return bad
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return bad
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	rsaKey, ok := key.(*rsa.PrivateKey)
	if err != nil || !ok || rsaKey == nil || rsaKey.N.BitLen() > maxKeyBits {
		return bad
	}
	return nil
}
