package config

import "fmt"

const masked = "***"

// Secret is a password or token. No way of printing it shows it (Invariant 9): fmt, JSON, YAML and log lines have
// *** instead, and inside unexported fields, where fmt asks no methods, they have a pointer.
type Secret struct{ value *string }

// NewSecret hides value.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{&value}
}

// Reveal is the secret itself, for the one place that sends it.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Set says whether there is a secret at all.
func (s Secret) Set() bool { return s.Reveal() != "" }

func (s Secret) String() string {
	if !s.Set() {
		return ""
	}
	return masked
}

// Format masks the secret under every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText masks the secret in JSON, YAML and structured logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
