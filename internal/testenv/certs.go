package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certs are the files of a certificate authority with a server's and a client's certificate.
type certs struct {
	CA                string // ca.pem
	Client, ClientKey string // client.pem, client-key.pem
	keystore          string // the server's key, its certificate, the CA: what a broker reads
	authority         *x509.Certificate
	authorityKey      *ecdsa.PrivateKey
	authorityPEM      []byte
}

// makeCerts writes a new authority and certificates for 127.0.0.1 and localhost into dir.
func makeCerts(dir string) (*certs, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	c := &certs{
		CA: filepath.Join(dir, "ca.pem"), Client: filepath.Join(dir, "client.pem"),
		ClientKey: filepath.Join(dir, "client-key.pem"), keystore: filepath.Join(dir, "keystore.pem"),
	}
	if err := c.makeAuthority(); err != nil {
		return nil, fmt.Errorf("making the test CA: %w", err)
	}
	cert, key, err := c.issue("server", 2)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(c.keystore, join(key, cert, c.authorityPEM), 0o600); err != nil {
		return nil, err
	}
	if cert, key, err = c.issue("client", 3); err != nil {
		return nil, err
	}
	if err := os.WriteFile(c.Client, cert, 0o644); err != nil {
		return nil, err
	}
	return c, os.WriteFile(c.ClientKey, key, 0o600)
}

func (c *certs) makeAuthority() (err error) {
	if c.authorityKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	c.authority = leaf("calcdc test CA", 1)
	c.authority.IsCA, c.authority.BasicConstraintsValid = true, true
	c.authority.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, c.authority, c.authority, &c.authorityKey.PublicKey, c.authorityKey)
	if err != nil {
		return err
	}
	c.authorityPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return os.WriteFile(c.CA, c.authorityPEM, 0o644)
}

// issue returns a certificate for both ends and its key (PKCS #8), as PEM.
func (c *certs) issue(name string, serial int64) (cert, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t := leaf(name, serial)
	t.IPAddresses, t.DNSNames = []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"}
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, t, c.authority, &k.PublicKey, c.authorityKey)
	if err != nil {
		return nil, nil, fmt.Errorf("issuing the certificate of %s: %w", name, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, err
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

func leaf(name string, serial int64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}
