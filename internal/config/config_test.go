package config

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func environment(name string) (string, bool) {
	v, ok := map[string]string{
		"SECRET": "hunter2", "EMPTY": "", "N": "12", "YES": "true", "TEXT": "a: [b", "LONG": "90s", "USER_NAME": "alice",
	}[name]
	return v, ok
}

// TestGolden loads testdata/*.good.yml, which must be right, and *.bad.yml, which must give the faults of the .errors
// file beside it, every one and nothing else.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yml")
	if err != nil || len(files) < 6 {
		t.Fatalf("golden files: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, err = read(data, file, environment)
	if strings.HasSuffix(file, ".good.yml") {
		if err != nil {
			t.Fatalf("a good configuration is refused:\n%v", err)
		}
		return
	}
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatalf("a bad configuration gave %v", err)
	}
	got := strings.ReplaceAll(err.Error(), "testdata/", "") + "\n"
	want := strings.TrimSuffix(file, ".yml") + ".errors"
	if *update {
		if err := os.WriteFile(want, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expected, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(expected) {
		t.Errorf("got\n%s\nwant\n%s", got, expected)
	}
	if strings.Contains(got, "hunter2") {
		t.Error("a secret stands in the faults")
	}
}

func TestReferencesAreValuesNotYAML(t *testing.T) {
	c, err := read([]byte(`
name: n
kafka: {brokers: ["${HOST:-127.0.0.1}:9092"], topics: {partitions: "${N}", config: {x.y: "${N}"}}}
events: {raw: "${YES}", max_raw: "${SIZE:-2MiB}"}
sources:
  - name: work
    poll_interval: ${LONG}
    caldav:
      url: https://dav.example.org/${EMPTY}
      accounts:
        - {username: "${USER_NAME}", password: "${TEXT}"}
        - {username: bob, password: "$${SECRET}$$x$"}
        - {username: carol, password: "${file:secret.txt}"}
        - {username: dave, password: 0123}
`), filepath.Join("testdata", "x.yml"), environment)
	if err != nil {
		t.Fatal(err)
	}
	dav := c.Sources[0].CalDAV
	got := []any{c.Kafka.Brokers[0], c.Kafka.Topics.Partitions, c.Kafka.Topics.Config["x.y"], c.Events.Raw, c.Events.MaxRaw,
		c.Sources[0].PollInterval, dav.URL, dav.Accounts[0].Username, dav.Accounts[0].Password.Reveal(),
		dav.Accounts[1].Password.Reveal(), dav.Accounts[2].Password.Reveal(), dav.Accounts[3].Password.Reveal(), dav.Accounts[3].Name}
	want := []any{"127.0.0.1:9092", int32(12), "12", true, Size(2 << 20), 90 * time.Second, "https://dav.example.org/", "alice",
		"a: [b", "${SECRET}$$x$", "from a file ${SECRET}", "0123", "dave"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestDefaultsAndMerging(t *testing.T) {
	c, err := read([]byte(`
name: n
kafka: {brokers: [b:1], topics: {config: {delete.retention.ms: 5, min.compaction.lag.ms: null}}}
sources: [{name: work, caldav: {url: "http://h/", accounts: [{name: x, token: t}]}}]
`), "x.yml", environment)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Name, want.Kafka.TopicPrefix, want.Kafka.Brokers = "n", "n", []string{"b:1"}
	want.Kafka.Topics.Config = map[string]string{"cleanup.policy": "compact", "delete.retention.ms": "5", "max.message.bytes": "8388608"}
	source, dav := DefaultSource(), DefaultCalDAV()
	source.Name, source.CalDAV = "work", &dav
	dav.URL, dav.Accounts = "http://h/", []Account{{Name: "x", Token: NewSecret("t")}}
	want.Sources, want.dir, want.lines = []Source{source}, c.dir, c.lines
	want.written = c.written
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestSecretNeverPrints(t *testing.T) {
	type inner struct{ hidden Secret }
	s := NewSecret("hunter2")
	pointer := &s
	for _, v := range []any{s, pointer, Account{Password: s}, &Account{Token: s}, []Secret{s}, map[string]Secret{"a": s}, inner{s}, &inner{s}} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
			if text := fmt.Sprintf(format, v); strings.Contains(text, "hunter2") || strings.Contains(text, "68756e74657232") {
				t.Errorf("%s of %T shows it: %s", format, v, text)
			}
		}
		if b, err := json.Marshal(v); err != nil || strings.Contains(string(b), "hunter2") {
			t.Errorf("JSON of %T: %s, %v", v, b, err)
		}
		if b, err := yaml.Marshal(v); err != nil || strings.Contains(string(b), "hunter2") {
			t.Errorf("YAML of %T: %s, %v", v, b, err)
		}
	}
	if s.Reveal() != "hunter2" || !s.Set() || (Secret{}).Set() {
		t.Error("the secret itself is lost")
	}
}

func TestHostileFiles(t *testing.T) {
	aliases := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 12; i++ {
		aliases += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), i-1)
	}
	var deep strings.Builder
	for i := range 600 {
		deep.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	for name, data := range map[string]string{
		"a bomb of aliases":    aliases,
		"brackets":             "a: " + strings.Repeat("[", 100_000),
		"braces":               "a: " + strings.Repeat("{a: ", 50_000),
		"dashes":               strings.Repeat("- ", 100_000),
		"question marks":       strings.Repeat("? ", 100_000),
		"anchors":              "a: " + strings.Repeat("&a ", 100_000),
		"tags":                 "a: " + strings.Repeat("!!str ", 100_000),
		"indentation":          deep.String(),
		"too long":             "a: " + strings.Repeat("x", maxFile),
		"many keys":            strings.Repeat("a: b\n", 20_000),
		"more keys":            strings.Repeat("a: b\n", 80_000),
		"an alias of itself":   "a: &a [*a]",
		"zero bytes":           strings.Repeat("\x00", 1000),
		"quotes":               "a: " + strings.Repeat(`"`, 10_001),
		"a long word and line": strings.Repeat("x", maxFile-1),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			if _, err := read([]byte(data), "x.yml", environment); err == nil {
				t.Error("accepted")
			}
			if took := time.Since(start); took > time.Minute {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestLoadReportsWhatCannotBeRead(t *testing.T) {
	var faults Faults
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if !errors.As(err, &faults) || !strings.Contains(err.Error(), "no such file; name it with --config") {
		t.Errorf("a missing file: %v", err)
	}
	if _, err = Load(t.TempDir()); !errors.As(err, &faults) {
		t.Errorf("a folder: %v", err)
	}
}

// TestSamples loads every file of configs/ and validates it against the schema.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("../../configs/*.yaml")
	if err != nil || len(files) < 16 {
		t.Fatalf("samples: %v, %v", files, err)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "nextcloud-app-password"), "secret\n")
	writeFile(t, filepath.Join(dir, "calcdc-key.json"), `{"type": "service_account"}`)
	writeFile(t, filepath.Join(dir, "application_default_credentials.json"), `{"type": "authorized_user"}`)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			set := func(name string) (string, bool) {
				if strings.HasSuffix(name, "_CA") {
					return "", false
				}
				return "set", true
			}
			if _, err := read(data, filepath.Join(dir, "x.yaml"), set); err != nil {
				t.Error(err)
			}
			validate(t, data)
		})
	}
}

// TestFullSampleHasEveryDefault keeps configs/full.yaml honest: what it says is the default, and no key is missing.
func TestFullSampleHasEveryDefault(t *testing.T) {
	data, err := os.ReadFile("../../configs/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := read(data, "full.yaml", func(string) (string, bool) { return "set", true })
	if err != nil {
		t.Fatal(err)
	}
	for key := range schemaKeys(t) {
		_, ok := c.lines[key]
		_, second := c.lines[strings.Replace(key, "sources[0]", "sources[1]", 1)]
		if !ok && !second && key != "sources[0].caldav.accounts[0].token" && !strings.HasSuffix(key, "[0]") {
			t.Errorf("configs/full.yaml lacks %s", key)
		}
	}
	want, source, dav := Default(), DefaultSource(), DefaultCalDAV()
	team, google, domain := DefaultSource(), DefaultGoogle(), DefaultGoogleDomain()
	team.Name, team.Google, google.Domain, domain.Admin = "team", &google, &domain, "admin@example.org"
	google.Subjects, google.EventTypes = []string{}, []string{}
	google.PrivateExtendedProperties, google.SharedExtendedProperties = []string{}, []string{}
	want.Name, want.Kafka.TopicPrefix, want.Kafka.Brokers = "team-cal", "team-cal", []string{"127.0.0.1:9092"}
	source.Name, source.Collections.Exclude, source.CalDAV = "work", []string{}, &dav
	dav.URL, dav.Accounts = c.Sources[0].CalDAV.URL, c.Sources[0].CalDAV.Accounts
	want.Sources, want.dir, want.lines = []Source{source, team}, c.dir, c.lines
	want.written = c.written
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v\n%+v\n%+v\n%+v\n%+v", c, want, c.Sources[0].CalDAV, want.Sources[0].CalDAV, c.Sources[1].Google, want.Sources[1].Google)
	}
}

func TestSchemaHasEveryKeyDescribed(t *testing.T) {
	keys := schemaKeys(t)
	for _, key := range structKeys(reflect.TypeFor[Config](), "") {
		description, ok := keys[key]
		if !ok || len(strings.TrimSpace(description)) < 10 {
			t.Errorf("%s: in the schema %v, described as %q", key, ok, description)
		}
	}
	if len(keys) < 50 {
		t.Errorf("only %d keys", len(keys))
	}
}

func TestSchemaRefusesWhatIsUnknown(t *testing.T) {
	for _, text := range []string{
		`{"name": "x", "kafka": {"brokers": ["a:1"]}}`,
		`{"name": "x", "kafka": {"brokers": ["a:1"]}, "sources": [], "colour": 1}`,
		`{"name": "x", "kafka": {"brokers": ["a:1"], "compression": "rar"}, "sources": []}`,
		`{"name": "x", "kafka": {"brokers": ["a:1"]}, "sources": [], "offsets": {"partitions": "many"}}`,
	} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if compiled(t).Validate(doc) == nil {
			t.Errorf("accepted: %s", text)
		}
	}
}

func validate(t *testing.T, yamlText []byte) {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON(yamlText)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled(t).Validate(doc); err != nil {
		t.Errorf("the schema refuses it: %v", err)
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("calcdc.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("calcdc.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// schemaKeys are the schema's keys with their descriptions, named as faults name them, in the first item of lists.
func schemaKeys(t *testing.T) map[string]string {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	collectKeys(root, "", keys)
	return keys
}

func collectKeys(s map[string]any, at string, keys map[string]string) {
	properties, _ := s["properties"].(map[string]any)
	for name, p := range properties {
		property, _ := p.(map[string]any)
		key := join(at, name)
		keys[key], _ = property["description"].(string)
		collectKeys(property, key, keys)
	}
	if items, ok := s["items"].(map[string]any); ok {
		collectKeys(items, at+"[0]", keys)
	}
}

func structKeys(t reflect.Type, at string) []string {
	switch {
	case t == secretType:
		return nil
	case t.Kind() == reflect.Pointer:
		return structKeys(t.Elem(), at)
	case t.Kind() == reflect.Slice:
		return structKeys(t.Elem(), at+"[0]")
	case t.Kind() != reflect.Struct:
		return nil
	}
	var keys []string
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() {
			key := join(at, f.Tag.Get("yaml"))
			keys = append(append(keys, key), structKeys(f.Type, key)...)
		}
	}
	return keys
}

func TestFollow(t *testing.T) {
	for _, c := range []struct {
		include, exclude []string
		id, name         string
		want             bool
	}{
		{[]string{"*"}, nil, "/alice/work/", "Work", true},
		{[]string{"/alice/*"}, nil, "/alice/a/b/", "Work", true},
		{[]string{"*/work/"}, nil, "/alice/work/", "", true},
		{[]string{"Work"}, nil, "/x/", "Work", true},
		{[]string{"work"}, nil, "/x/", "Work", false},
		{[]string{"*"}, []string{"*birth*"}, "/alice/contact_birthdays/", "B", false},
		{[]string{"*"}, []string{"Holidays"}, "/alice/h/", "Holidays", false},
		{[]string{"a*b*c"}, nil, "aXbXbYc", "", true},
		{[]string{"a*b*c"}, nil, "ac", "", false},
		{[]string{"ab*ba"}, nil, "aba", "", false},
		{[]string{"**"}, nil, "", "", true},
		{nil, nil, "/x/", "x", false},
	} {
		if got := (Collections{c.include, c.exclude}).Follow(c.id, c.name); got != c.want {
			t.Errorf("include %q, exclude %q, %s %q: %v", c.include, c.exclude, c.id, c.name, got)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "17": 17, "1MiB": 1 << 20, "512 KiB": 512 << 10, "1GiB": 1 << 30, "2MB": 2e6, "3kB": 3000, "9B": 9} {
		if got, err := parseSize(text); got != want || err != nil {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "1 miB", "9999999999GiB", "x"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// FuzzConfig: whatever the file, Load ends with a valid configuration or with faults, and no fault shows a secret.
func FuzzConfig(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := read([]byte(text), "x.yml", environment)
		var faults Faults
		switch {
		case err == nil && c.Validate() != nil:
			t.Errorf("loaded, but not valid: %v", c.Validate())
		case err != nil && (!errors.As(err, &faults) || len(faults) == 0):
			t.Errorf("not faults: %v", err)
		case err != nil && strings.Contains(err.Error(), "hunter2") && !strings.Contains(text, "hunter2"):
			t.Errorf("shows a secret: %v", err)
		}
	})
}

func TestBoundsOfGroupAndTransaction(t *testing.T) {
	for text, want := range map[string]string{
		"group: {session_timeout: 6s}":               "",
		"group: {session_timeout: 999ms}":            "kafka.group.session_timeout: is 999ms; it must be between 1s and 30m0s",
		"group: {session_timeout: 1h}":               "kafka.group.session_timeout: is 1h0m0s; it must be",
		"transaction: {max_records: 1}":              "",
		"transaction: {max_records: 0}":              "kafka.transaction.max_records: is 0; it must be between 1 and 100000",
		"transaction: {max_bytes: 64KiB}":            "",
		"transaction: {max_bytes: 1KiB}":             "kafka.transaction.max_bytes: is 1024; it must be between 65536 and 268435456",
		"transaction: {max_bytes: 1GiB, max_age: 1}": "kafka.transaction.max_age: unknown key",
	} {
		_, err := read([]byte("name: a\nkafka:\n  brokers: [a:1]\n  "+text+"\nsources: [{name: s, caldav: {url: http://a/, accounts: [{username: a, password: b}]}}]\n"), "x.yml", environment)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
