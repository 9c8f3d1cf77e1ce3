package caldav

import "net/http"

// Over makes an account's requests go over rt.
func Over(a *Account, rt http.RoundTripper) { a.client.plain.Transport = rt }

// Beside makes a an account of the service of b.
func Beside(a, b *Account) { a.client.long, a.client.ahead = b.client.long, b.client.ahead }
