// Package testenv starts what the integration tests need and stops it again: a real Apache Kafka and real CalDAV
// servers, on free loopback ports, in directories of their own.
//
// Servers that tests may share are started once by cmd/testservers, which passes them on in the environment; Shared
// reads it. A test that pauses or kills a broker, or makes a server forget its tokens, starts one for itself with
// StartKafka, StartRadicale and so on.
//
// Every server runs as the leader of a process group and dies with the process that started it.
package testenv

// The environment in which the integration tests run.
const (
	EnvKafka        = "CALCDC_TEST_KAFKA"          // host:port of a plain listener
	EnvKafkaSASLSSL = "CALCDC_TEST_KAFKA_SASL_SSL" // host:port; PLAIN and SCRAM, users as KafkaUser, KafkaPassword
	EnvKafkaCA      = "CALCDC_TEST_KAFKA_CA"       // path of the CA's PEM
	EnvKafkaJars    = "CALCDC_TEST_KAFKA_JARS"     // directory of the Maven artifacts
	EnvRadicale     = "CALCDC_TEST_RADICALE"       // http://user:password@host:port/
	EnvXandikos     = "CALCDC_TEST_XANDIKOS"
	EnvDAViCal      = "CALCDC_TEST_DAVICAL"
	EnvSabreDAV     = "CALCDC_TEST_SABREDAV"
	EnvDAViCalState = "CALCDC_TEST_DAVICAL_STATE" // its state directory: see OpenDAViCal
	EnvPython       = "CALCDC_ORACLE_PYTHON"      // an interpreter with icalendar, tzdata and confluent-kafka
)
