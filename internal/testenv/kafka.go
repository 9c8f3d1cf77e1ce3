package testenv

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

// The user of a secure listener.
const (
	KafkaUser     = "alice"
	KafkaPassword = "secret"
)

// KafkaOptions says what cluster is wanted.
type KafkaOptions struct {
	Brokers int  // default 1; with 3, topics are replicated 3 times with min.insync.replicas 2
	Secure  bool // a SASL_SSL listener besides the plain one
	// Clients are sets of addresses at which clients shall find the brokers, one a broker, with a listener behind each of its own
	// (ClientAddr): relays stand there. Who came by an address of a set is told those of the set. Brokers and tools use the plain listeners
	// as ever. Empty: there are none.
	Clients    [][]string
	Heap       string            // of each broker, default 512m
	Properties map[string]string // server properties, over the defaults
}

// Kafka is a running cluster of Apache Kafka in KRaft mode. Each broker is a controller too.
type Kafka struct {
	dir     string
	jars    string
	certs   *certs // nil without Secure
	options KafkaOptions
	brokers []broker
}

type broker struct {
	plain, secure, controller int // ports
	clients                   []int
	process                   *Process
}

// StartKafka starts a cluster from the artifacts in jars, with its data in dir, and returns when every broker serves.
// The caller must Close it.
func StartKafka(ctx context.Context, dir, jars string, o KafkaOptions) (*Kafka, error) {
	o.Brokers = max(o.Brokers, 1)
	each := 3 + len(o.Clients)
	ports, err := freePorts(o.Brokers * each)
	if err != nil {
		return nil, err
	}
	k := &Kafka{dir: dir, jars: jars, options: o}
	for p := range slices.Chunk(ports, each) {
		k.brokers = append(k.brokers, broker{plain: p[0], secure: p[1], controller: p[2], clients: p[3:]})
	}
	if o.Secure {
		if k.certs, err = makeCerts(filepath.Join(dir, "tls")); err != nil {
			return nil, err
		}
	}
	if err := k.boot(ctx); err != nil {
		k.Close()
		return nil, fmt.Errorf("starting Kafka: %w", err)
	}
	return k, nil
}

func (k *Kafka) boot(ctx context.Context) error {
	if err := os.WriteFile(filepath.Join(k.dir, "log4j2.properties"), []byte(log4j), 0o644); err != nil {
		return err
	}
	g, starting := errgroup.WithContext(ctx)
	for i := range k.brokers {
		g.Go(func() error { return k.bootOne(starting, i) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return k.Await(ctx)
}

// bootOne formats the broker's storage and starts it.
func (k *Kafka) bootOne(ctx context.Context, i int) error {
	dir := k.brokerDir(i)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	config := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(config, []byte(k.properties(i)), 0o600); err != nil {
		return err
	}
	if err := run(ctx, command{argv: k.formatCommand(config)}); err != nil {
		return err
	}
	argv := append(k.java("-Xmx"+cmp.Or(k.options.Heap, "512m"), "-Xms128m"), "kafka.Kafka", config)
	p, err := startProcess(fmt.Sprintf("kafka broker %d", i), dir, command{argv: argv})
	k.brokers[i].process = p
	return err
}

func (k *Kafka) brokerDir(i int) string { return filepath.Join(k.dir, fmt.Sprintf("broker-%d", i)) }

func (k *Kafka) java(options ...string) []string {
	argv := append([]string{"java"}, options...)
	return append(argv, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(k.jars, "*"),
		"-Dlog4j2.configurationFile="+filepath.Join(k.dir, "log4j2.properties"))
}

func (k *Kafka) formatCommand(config string) []string {
	argv := append(k.java(), "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", config)
	if k.certs == nil {
		return argv
	}
	for _, m := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		argv = append(argv, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", m, KafkaUser, KafkaPassword))
	}
	return argv
}

// Addr is the address of the plain listeners: host:port, separated by commas.
func (k *Kafka) Addr() string {
	return k.addrs(func(b broker) int { return b.plain })
}

// SecureAddr is the address of the SASL_SSL listeners.
func (k *Kafka) SecureAddr() string {
	return k.addrs(func(b broker) int { return b.secure })
}

func (k *Kafka) addrs(port func(broker) int) string {
	var s []string
	for _, b := range k.brokers {
		s = append(s, fmt.Sprintf("127.0.0.1:%d", port(b)))
	}
	return strings.Join(s, ",")
}

// ClientAddr is where broker i's listener behind a set of Clients is.
func (k *Kafka) ClientAddr(set, i int) string {
	return fmt.Sprintf("127.0.0.1:%d", k.brokers[i].clients[set])
}

// CAFile is the path of the authority that signed the brokers' certificates, "" without Secure.
func (k *Kafka) CAFile() string {
	if k.certs == nil {
		return ""
	}
	return k.certs.CA
}

// ClientCertificate returns the paths of a client's certificate and key, "" without Secure.
func (k *Kafka) ClientCertificate() (cert, key string) {
	if k.certs == nil {
		return "", ""
	}
	return k.certs.Client, k.certs.ClientKey
}

// TLS is what a client of the secure listener needs.
func (k *Kafka) TLS() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(k.certs.authority)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// Running tells whether broker i has not ended; a paused one has not.
func (k *Kafka) Running(i int) bool { return k.brokers[i].process.Running() }

// Kill ends broker i at once (SIGKILL).
func (k *Kafka) Kill(i int) { k.brokers[i].process.Kill() }

// Stop ends broker i in order (SIGTERM) and waits for it.
func (k *Kafka) Stop(i int) { k.brokers[i].process.Stop() }

// Pause lets broker i hang (SIGSTOP) until Resume.
func (k *Kafka) Pause(i int) { k.brokers[i].process.Pause() }

// Resume lets a paused broker i go on, without knowing that it hung.
func (k *Kafka) Resume(i int) { k.brokers[i].process.Resume() }

// Start starts broker i again after Kill or Stop; Await waits until it serves.
func (k *Kafka) Start(i int) error { return k.brokers[i].process.boot() }

// Restart stops broker i in order, starts it again and waits until it serves.
func (k *Kafka) Restart(ctx context.Context, i int) error {
	k.Stop(i)
	if err := k.Start(i); err != nil {
		return err
	}
	return k.Await(ctx)
}

// Await waits until every broker is registered and serves.
func (k *Kafka) Await(ctx context.Context) error {
	for i := range k.brokers {
		if err := k.brokers[i].process.await(ctx, func(ctx context.Context) error { return k.registered(ctx, i) }); err != nil {
			return err
		}
	}
	return nil
}

// registered asks broker i whether it sees the whole cluster.
func (k *Kafka) registered(ctx context.Context, i int) error {
	resp, err := k.metadata(ctx, i)
	if err == nil && len(resp.Brokers) < len(k.brokers) {
		err = fmt.Errorf("%d of %d brokers are registered", len(resp.Brokers), len(k.brokers))
	}
	return err
}

// metadata asks broker i for all that it knows.
func (k *Kafka) metadata(ctx context.Context, i int) (*kmsg.MetadataResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(fmt.Sprintf("127.0.0.1:%d", k.brokers[i].plain)), kgo.RequestRetries(0))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	return kmsg.NewPtrMetadataRequest().RequestWith(ctx, cl)
}

// AwaitInSync waits until every broker serves, and says that every partition has a leader and all its replicas.
func (k *Kafka) AwaitInSync(ctx context.Context) error {
	if err := k.Await(ctx); err != nil {
		return err
	}
	for i := range k.brokers {
		if err := k.brokers[i].process.await(ctx, func(ctx context.Context) error { return k.inSync(ctx, i) }); err != nil {
			return err
		}
	}
	return nil
}

func (k *Kafka) inSync(ctx context.Context, i int) error {
	resp, err := k.metadata(ctx, i)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.Leader < 0 || len(p.ISR) < len(p.Replicas) {
				return fmt.Errorf("%s/%d: leader %d, %v of the replicas %v are in sync", *t.Topic, p.Partition, p.Leader, p.ISR, p.Replicas)
			}
		}
	}
	return nil
}

// Close kills what runs of the cluster; its data is not needed any more.
func (k *Kafka) Close() {
	for _, b := range k.brokers {
		if b.process != nil && b.process.cmd != nil && b.process.cmd.Process != nil {
			b.process.Kill()
		}
	}
}
