package testenv

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const clusterID = "Y2FsY2RjLXRlc3QtY2x1cw" // any 16 bytes in URL-safe base64

const log4j = `rootLogger.level=WARN
rootLogger.appenderRef.o.ref=o
appender.o.type=Console
appender.o.name=o
appender.o.layout.type=PatternLayout
appender.o.layout.pattern=%d %p %m (%c)%n
`

// properties is the configuration of broker i.
func (k *Kafka) properties(i int) string {
	p := k.defaults(i)
	if k.certs != nil {
		maps.Copy(p, k.security())
	}
	maps.Copy(p, k.options.Properties)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s=%s\n", name, p[name])
	}
	return b.String()
}

func (k *Kafka) defaults(i int) map[string]string {
	n := len(k.brokers)
	replicas, insync := fmt.Sprint(n), fmt.Sprint(min(n, 2))
	listeners := fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", k.brokers[i].plain)
	if k.certs != nil {
		listeners += fmt.Sprintf(",SASL_SSL://127.0.0.1:%d", k.brokers[i].secure)
	}
	advertised, protocols := listeners, "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL"
	for set, addrs := range k.options.Clients {
		listeners += fmt.Sprintf(",CLIENT%d://%s", set, k.ClientAddr(set, i))
		advertised += fmt.Sprintf(",CLIENT%d://%s", set, addrs[i])
		protocols += fmt.Sprintf(",CLIENT%d:PLAINTEXT", set)
	}
	var voters []string
	for j, b := range k.brokers {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", j+1, b.controller))
	}
	return map[string]string{
		"process.roles":                            "broker,controller",
		"node.id":                                  fmt.Sprint(i + 1),
		"controller.quorum.voters":                 strings.Join(voters, ","),
		"listeners":                                fmt.Sprintf("%s,CONTROLLER://127.0.0.1:%d", listeners, k.brokers[i].controller),
		"advertised.listeners":                     advertised,
		"inter.broker.listener.name":               "PLAINTEXT",
		"controller.listener.names":                "CONTROLLER",
		"listener.security.protocol.map":           protocols,
		"log.dirs":                                 k.brokerDir(i) + "/data",
		"offsets.topic.replication.factor":         replicas,
		"offsets.topic.num.partitions":             "4",
		"transaction.state.log.replication.factor": replicas,
		"transaction.state.log.min.isr":            insync,
		"transaction.state.log.num.partitions":     "4",
		"default.replication.factor":               replicas,
		"min.insync.replicas":                      insync,
		"group.initial.rebalance.delay.ms":         "0",
		"group.min.session.timeout.ms":             "1000",
		"auto.create.topics.enable":                "false",
		"log.cleaner.backoff.ms":                   "1000",
	}
}

// security configures the SASL_SSL listener; client certificates are welcome, not needed.
func (k *Kafka) security() map[string]string {
	const m = "org.apache.kafka.common.security"
	return map[string]string{
		"ssl.keystore.type":                                     "PEM",
		"ssl.keystore.location":                                 k.certs.keystore,
		"ssl.truststore.type":                                   "PEM",
		"ssl.truststore.location":                               k.certs.CA,
		"listener.name.sasl_ssl.ssl.client.auth":                "requested",
		"sasl.enabled.mechanisms":                               "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"listener.name.sasl_ssl.plain.sasl.jaas.config":         m + `.plain.PlainLoginModule required user_` + KafkaUser + `="` + KafkaPassword + `";`,
		"listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": m + ".scram.ScramLoginModule required;",
		"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": m + ".scram.ScramLoginModule required;",
	}
}
