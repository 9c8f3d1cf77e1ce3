package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// Config says how to reach a cluster and how to write to it. Zero values mean the defaults given.
type Config struct {
	Brokers     []string // host:port, at least one
	ClientID    string   // how the brokers' logs and quotas name this process; "calcdc"
	Compression string   // none, gzip, snappy, lz4 (default), zstd
	TLS         TLS
	SASL        SASL

	TransactionTimeout time.Duration // after which brokers abort what an owner left open; 30 s
	MaxRecords         int           // of several callers' commits in one transaction; 5,000
	MaxBytes           int           // of several callers' commits in one transaction, uncompressed; 16 MiB
	MaxRequests        int           // in flight at once; 64
	MetadataTTL        time.Duration // how long what is known of the cluster is taken as it was; 1 s
	Topics             []string      // which exist and will be asked for: each other one costs new connections at its first use

	// Dial, where set, opens the connections to brokers in place of a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// OnTransaction, where set, is told of every transaction that was tried: what was in it (bytes uncompressed), the
	// time it took, encoding included, and how it ended. It must not block.
	OnTransaction func(records, bytes int, took time.Duration, err error)
}

// TLS says how to know the brokers, and how to be known by them.
type TLS struct {
	Enabled  bool
	CAFile   string // PEM; "": the system's
	CertFile string // PEM, of the client; with KeyFile
	KeyFile  string
}

// SASL is who we are to the brokers.
type SASL struct {
	Mechanism string // "" (none), plain, scram-sha-256, scram-sha-512
	Username  string
	Password  string
}

// Validate returns every fault of the configuration, files included.
func (c Config) Validate() error {
	_, err := c.security()
	if len(c.Brokers) == 0 {
		err = errors.Join(errors.New("brokers: none given"), err)
	}
	if _, cerr := c.codec(); cerr != nil {
		err = errors.Join(err, cerr)
	}
	return err
}

func (c Config) withDefaults() Config {
	if c.ClientID == "" {
		c.ClientID = "calcdc"
	}
	if c.Compression == "" {
		c.Compression = "lz4"
	}
	if c.TransactionTimeout <= 0 {
		c.TransactionTimeout = 30 * time.Second
	}
	if c.MaxRecords <= 0 {
		c.MaxRecords = 5000
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 16 << 20
	}
	if c.MaxRequests <= 0 {
		c.MaxRequests = 64
	}
	if c.MetadataTTL <= 0 {
		c.MetadataTTL = metadataTTL
	}
	return c
}

func (c Config) codec() (compress.Compression, error) {
	switch c.Compression {
	case "none":
		return compress.None, nil
	case "gzip":
		return compress.Gzip, nil
	case "snappy":
		return compress.Snappy, nil
	case "lz4", "":
		return compress.Lz4, nil
	case "zstd":
		return compress.Zstd, nil
	}
	return 0, fmt.Errorf("compression: %q is not one of none, gzip, snappy, lz4, zstd", c.Compression)
}

type security struct {
	tls  *tls.Config
	sasl sasl.Mechanism
}

func (c Config) security() (security, error) {
	t, terr := c.TLS.config()
	m, merr := c.SASL.mechanism()
	return security{t, m}, errors.Join(terr, merr)
}

func (t TLS) config() (*tls.Config, error) {
	if !t.Enabled {
		if t.CAFile != "" || t.CertFile != "" || t.KeyFile != "" {
			return nil, errors.New("tls: files are given, but enabled is not true")
		}
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	var errs []error
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		cfg.RootCAs = x509.NewCertPool()
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("tls: reading ca_file: %w", err))
		case !cfg.RootCAs.AppendCertsFromPEM(pem):
			errs = append(errs, fmt.Errorf("tls: ca_file %s holds no PEM certificate", t.CAFile))
		}
	}
	if t.CertFile != "" || t.KeyFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			errs = append(errs, fmt.Errorf("tls: reading cert_file and key_file: %w", err))
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, errors.Join(errs...)
}

func (s SASL) mechanism() (sasl.Mechanism, error) {
	if s.Mechanism == "" {
		if s.Username != "" || s.Password != "" {
			return nil, errors.New("sasl: a username or password is given without mechanism")
		}
		return nil, nil
	}
	if s.Username == "" {
		return nil, errors.New("sasl: mechanism is given without username")
	}
	switch s.Mechanism {
	case "plain":
		return plain.Mechanism{Username: s.Username, Password: s.Password}, nil
	case "scram-sha-256":
		return s.scram(scram.SHA256)
	case "scram-sha-512":
		return s.scram(scram.SHA512)
	}
	return nil, fmt.Errorf("sasl: mechanism %q is not one of plain, scram-sha-256, scram-sha-512", s.Mechanism)
}

func (s SASL) scram(a scram.Algorithm) (sasl.Mechanism, error) {
	m, err := scram.Mechanism(a, s.Username, s.Password)
	if err != nil { // its text may quote the credentials (Invariant 9)
		return nil, errors.New("sasl: username or password cannot be used with SCRAM: SASLprep forbids a character in it")
	}
	return m, nil
}
