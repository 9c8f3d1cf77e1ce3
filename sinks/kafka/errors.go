package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"
	kafkago "github.com/segmentio/kafka-go"

	"github.com/calcdc/calcdc/connector"
)

// ErrOutcomeUnknown says that a transaction may or may not have become visible. Only Fence and reading what was
// committed can tell (Invariant 7).
var ErrOutcomeUnknown = errors.New("whether the transaction was committed is unknown")

// ErrNoTopic says that a topic is not there.
var ErrNoTopic = errors.New("topic does not exist")

// Missing tells whether err says that a topic, or a partition of it, is not there.
func Missing(err error) bool {
	return errors.Is(err, ErrNoTopic) || errors.Is(err, kafkago.UnknownTopicOrPartition)
}

// fenced are the codes that say that another producer has taken the transactional id, or that the broker has
// aborted the transaction in our stead (transaction.timeout).
func fenced(err error) bool {
	return errors.Is(err, kafkago.InvalidProducerEpoch) || errors.Is(err, kafkago.ProducerFenced)
}

// refused says that asking again is of no use until someone changes a permission or the configuration.
func refused(err error) bool {
	var cert *tls.CertificateVerificationError
	var kerr kafkago.Error
	if errors.As(err, &cert) || errors.Is(err, errClosed) {
		return true
	}
	if !errors.As(err, &kerr) {
		return false
	}
	switch kerr {
	case kafkago.TopicAuthorizationFailed, kafkago.GroupAuthorizationFailed, kafkago.ClusterAuthorizationFailed,
		kafkago.TransactionalIDAuthorizationFailed, kafkago.SASLAuthenticationFailed, kafkago.UnsupportedSASLMechanism,
		kafkago.IllegalSASLState, kafkago.UnsupportedVersion, kafkago.InvalidTransactionTimeout, kafkago.InvalidRequest:
		return true
	}
	return false
}

// passes tells whether an error is that of a broker which is away, hangs, or leads no more: another attempt may not meet it.
func passes(err error) bool {
	var kerr kafkago.Error
	if !errors.As(err, &kerr) {
		return err != nil && !refused(err)
	}
	switch kerr {
	case kafkago.NotController, kafkago.BrokerNotAvailable:
		return true
	}
	return kerr.Temporary()
}

// unknown wraps what interrupted a transaction for the callers of Commit.
func unknown(err error) error {
	if fenced(err) {
		return fmt.Errorf("%w (%w)", connector.ErrFenced, err)
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, explain(err))
}

// explain adds to an error what to do about it.
func explain(err error) error {
	if hint := hintOf(err); hint != "" {
		return fmt.Errorf("%w (%s)", err, hint)
	}
	return err
}

func hintOf(err error) string {
	var record tls.RecordHeaderError
	var unknownCA x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var cert *tls.CertificateVerificationError
	var dns *net.DNSError
	switch {
	case errors.Is(err, kafkago.SASLAuthenticationFailed):
		return "the broker does not accept the user or the password: check kafka.sasl"
	case errors.Is(err, kafkago.UnsupportedSASLMechanism):
		return "the broker does not offer this mechanism: set another kafka.sasl.mechanism"
	case errors.As(err, &record):
		return "the broker does not speak TLS on this port: set kafka.tls.enabled to false, or use its TLS port"
	case errors.As(err, &unknownCA):
		return "the broker's certificate is signed by an unknown CA: set kafka.tls.ca_file to that CA's certificate"
	case errors.As(err, &hostname):
		return "the broker's certificate is for another host: use a name that it holds in kafka.brokers"
	case errors.As(err, &cert):
		return "the broker's certificate is not valid: check kafka.tls.ca_file and the certificate's dates"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: check kafka.brokers"
	case errors.As(err, &dns):
		return "the name cannot be resolved: check kafka.brokers"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "the broker closed the connection: it may expect TLS (kafka.tls.enabled) or credentials (kafka.sasl)"
	case errors.Is(err, kafkago.TransactionalIDAuthorizationFailed):
		return "the user needs WRITE and DESCRIBE on the transactional id"
	case errors.Is(err, kafkago.GroupAuthorizationFailed):
		return "the user needs READ on the group that is named like calcdc's name"
	case errors.Is(err, kafkago.InvalidSessionTimeout):
		return "the brokers do not take this session time-out: set kafka.group.session_timeout between their group.min.session.timeout.ms " +
			"(6 s unless set) and group.max.session.timeout.ms"
	case errors.Is(err, kafkago.InconsistentGroupProtocol):
		return "the group has members that are not calcdc: give this calcdc another name, or them another group"
	case errors.Is(err, kafkago.TopicAuthorizationFailed):
		return "the user lacks a permission on the topic: calcdc check names it"
	case errors.Is(err, kafkago.UnknownTopicOrPartition):
		return "the topic was deleted, or is not there yet: calcdc makes it anew, and says which streams have lost something with it"
	case errors.Is(err, kafkago.InvalidTransactionTimeout):
		return "the broker's transaction.max.timeout.ms is below calcdc's 30 s: raise it"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time: check kafka.brokers, the network between, and that kafka.tls.enabled is what the port expects"
	}
	return ""
}

// retry calls try until it answers again = false, ctx ends, or within has passed (0: for ever), and returns its last error.
func retry(ctx context.Context, within time.Duration, try func() (again bool, err error)) error {
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(time.Second), backoff.WithMultiplier(2), backoff.WithMaxElapsedTime(within))
	return backoff.Retry(func() error {
		again, err := try()
		if err != nil && !again {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(b, ctx))
}
