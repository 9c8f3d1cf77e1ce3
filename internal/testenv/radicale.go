package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

const radicaleConfig = `[server]
hosts = 127.0.0.1:%d
max_connections = 64
[auth]
type = htpasswd
htpasswd_filename = %s
htpasswd_encryption = plain
delay = 0
[rights]
type = owner_only
[storage]
filesystem_folder = %s
[web]
type = none
[logging]
level = warning
mask_passwords = True
`

// StartRadicale starts Radicale with its data in dir. The home is /alice/; tokens are files of the collection's
// cache, and a token whose file is gone is answered with DAV:valid-sync-token.
func StartRadicale(ctx context.Context, dir string) (*DAV, error) {
	port, base, err := onePort()
	if err != nil {
		return nil, err
	}
	users, data := filepath.Join(dir, "htpasswd"), filepath.Join(dir, "data")
	config := filepath.Join(dir, "config")
	err = writeFiles(map[string]string{
		users:  fmt.Sprintf("%s:%s\n%s:%s\n", User, Password, User2, Password2),
		config: fmt.Sprintf(radicaleConfig, port, users, data),
	})
	if err != nil {
		return nil, err
	}
	d := &DAV{Kind: "radicale", URL: base, User: User, Password: Password, Home: "/" + User + "/", Tokens: true}
	d.invalidate = func(_ context.Context, collection string) error {
		tokens := filepath.Join(data, "collection-root", collection, ".Radicale.cache", "sync-token")
		if _, err := os.Stat(tokens); err != nil {
			return err
		}
		return os.RemoveAll(tokens)
	}
	d.newUser = func(_ context.Context, name string) error { // the file is read at each request
		return appendFile(users, fmt.Sprintf("%s:%s\n", name, Password))
	}
	return d.serve(ctx, dir, command{argv: []string{"radicale", "--config", config}})
}

func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}
