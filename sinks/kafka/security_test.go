package kafka_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/calcdc/calcdc/sinks/kafka"
)

// authority makes a CA's certificate file and a server's configuration with a certificate of it for the loopback.
func authority(t *testing.T) (caFile string, server *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), 0o600); err != nil {
		t.Fatal(err)
	}
	return caFile, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leafDER}, PrivateKey: key}}}
}

func TestSASLAndTLS(t *testing.T) {
	caFile, server := authority(t)
	otherCA, _ := authority(t)
	fake := cluster(t, kfake.SeedTopics(1, "rows"), kfake.TLS(server), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "alice", "secret"), kfake.Superuser("SCRAM-SHA-256", "bob", "secret"), kfake.Superuser("SCRAM-SHA-512", "carol", "secret"))
	plain := cluster(t, kfake.SeedTopics(1, "rows"))
	secure := kafka.TLS{Enabled: true, CAFile: caFile}
	for _, tt := range []struct {
		name   string
		broker *kfake.Cluster
		tls    kafka.TLS
		sasl   kafka.SASL
		fault  string
	}{
		{"plain", fake, secure, kafka.SASL{Mechanism: "plain", Username: "alice", Password: "secret"}, ""},
		{"scram 256", fake, secure, kafka.SASL{Mechanism: "scram-sha-256", Username: "bob", Password: "secret"}, ""},
		{"scram 512", fake, secure, kafka.SASL{Mechanism: "scram-sha-512", Username: "carol", Password: "secret"}, ""},
		{"wrong password", fake, secure, kafka.SASL{Mechanism: "plain", Username: "alice", Password: "hush"}, "kafka.sasl"},
		{"wrong password, scram", fake, secure, kafka.SASL{Mechanism: "scram-sha-256", Username: "bob", Password: "hush"}, "kafka.sasl"},
		{"no credentials", fake, secure, kafka.SASL{}, "kafka.sasl"},
		{"other CA", fake, kafka.TLS{Enabled: true, CAFile: otherCA}, kafka.SASL{Mechanism: "plain", Username: "alice", Password: "secret"}, "kafka.tls.ca_file"},
		{"no TLS", fake, kafka.TLS{}, kafka.SASL{Mechanism: "plain", Username: "alice", Password: "secret"}, "kafka.tls.enabled"},
		{"TLS to a plain port", plain, secure, kafka.SASL{}, "kafka.tls.enabled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, kafka.Config{Brokers: tt.broker.ListenAddrs(), TLS: tt.tls, SASL: tt.sasl})
			err := c.Ping(deadline(t, 20*time.Second))
			if tt.fault == "" {
				if err != nil {
					t.Fatal(err)
				}
				mustCommit(t, fenced(t, c, "team-0"), record("rows", 0, "k", "v"))
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.fault) || strings.Contains(err.Error(), "hush") {
				t.Fatalf("%v", err)
			}
			if tt.name == "other CA" { // a refusal ends the fencing too; the fake does not answer 58 to a wrong password
				err := c.NewProducer("team-0").Fence(deadline(t, 20*time.Second))
				if err == nil || !strings.Contains(err.Error(), tt.fault) || strings.Contains(err.Error(), "hush") {
					t.Fatalf("fencing: %v", err)
				}
			}
		})
	}
}

func TestMissingACLs(t *testing.T) {
	allow := func(rt kmsg.ACLResourceType, name string, ops ...kmsg.ACLOperation) []kfake.ACL {
		var acls []kfake.ACL
		for _, op := range ops {
			acls = append(acls, kfake.ACL{Resource: rt, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true})
		}
		return acls
	}
	topic, id := kmsg.ACLResourceTypeTopic, kmsg.ACLResourceTypeTransactionalId
	all := slices.Concat(
		allow(topic, "rows", kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs),
		allow(topic, "new", kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationCreate),
		allow(id, "team-0", kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe),
		allow(kmsg.ACLResourceTypeGroup, "team", kmsg.ACLOperationRead))
	some := slices.Concat(
		allow(topic, "rows", kmsg.ACLOperationRead, kmsg.ACLOperationDescribe),
		allow(topic, "new", kmsg.ACLOperationDescribe))
	fake := cluster(t, kfake.SeedTopics(1, "rows"), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.Superuser("PLAIN", "admin", "secret"), kfake.User("PLAIN", "all", "secret", all...), kfake.User("PLAIN", "some", "secret", some...))
	need := kafka.Needs{
		Topics:           []kafka.TopicNeeds{{Name: "rows", Read: true, Write: true}, {Name: "new", Write: true, Create: true}},
		TransactionalIDs: []string{"team-0"},
		Groups:           []string{"team"},
	}
	for user, want := range map[string][]string{
		"admin": nil, "all": nil,
		"some": {"CREATE on topic new", "DESCRIBE on transactional id team-0", "DESCRIBE_CONFIGS on topic new", "DESCRIBE_CONFIGS on topic rows",
			"READ on group team", "WRITE on topic rows", "WRITE on transactional id team-0"},
	} {
		c := client(t, kafka.Config{Brokers: fake.ListenAddrs(), SASL: kafka.SASL{Mechanism: "plain", Username: user, Password: "secret"}})
		got, err := c.MissingACLs(deadline(t, 20*time.Second), need)
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s lacks\n%v, not\n%v", user, got, want)
		}
	}
}
