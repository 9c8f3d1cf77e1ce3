package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
	secretType   = reflect.TypeFor[Secret]()
)

// decoder puts nodes into structs by their tags, collecting every fault and the line of every key.
type decoder struct {
	expand  func(string) (string, error)
	lines   map[string]int
	written map[string]string // what stands in the file, where references were replaced
	faults  Faults
}

func (d *decoder) fail(line int, key, format string, args ...any) {
	if len(d.faults) >= maxFaults {
		return
	}
	d.faults = append(d.faults, Fault{Line: line, Key: key, Message: fmt.Sprintf(format, args...)})
}

// value decodes n into v, which stands at key; tag is that of the field it belongs to. A null leaves the default.
func (d *decoder) value(n *node, v reflect.Value, key string, tag reflect.StructTag) {
	if key != "" {
		d.lines[key] = n.line
	}
	if n.kind == nullNode {
		return
	}
	switch {
	case v.Type() == secretType:
		d.scalar(n, v, key, tag)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), key, tag)
	case v.Kind() == reflect.Struct:
		d.structure(n, v, key)
	case v.Kind() == reflect.Slice:
		d.list(n, v, key, tag)
	case v.Kind() == reflect.Map:
		d.settings(n, v, key)
	default:
		d.scalar(n, v, key, tag)
	}
}

func (d *decoder) structure(n *node, v reflect.Value, key string) {
	if n.kind != mapNode {
		d.fail(n.line, key, "must be a map of keys")
		return
	}
	if def, ok := v.Addr().Interface().(defaulter); ok {
		def.setDefaults()
	}
	seen := map[string]int{}
	for _, k := range n.keys {
		path := join(key, k.name)
		field, ok := fieldNamed(v.Type(), k.name)
		first, again := seen[k.name]
		seen[k.name] = k.line
		switch {
		case !ok:
			d.fail(k.line, path, "unknown key%s", suggestion(v.Type(), k.name))
		case again:
			d.fail(k.line, path, "given before, on line %d; keep one", first)
		default:
			d.field(k, v.FieldByIndex(field.Index), path, field.Tag)
		}
	}
}

func (d *decoder) field(k mapKey, v reflect.Value, path string, tag reflect.StructTag) {
	later := tag.Get("later")
	if later != "" && tag.Get("enum") == "" {
		d.lines[path] = k.line
		d.fail(k.line, path, "not in this version: %s come later; remove the key", later)
		return
	}
	d.value(k.value, v, path, tag)
	d.lines[path] = k.line
}

func (d *decoder) list(n *node, v reflect.Value, key string, tag reflect.StructTag) {
	if n.kind != listNode {
		d.fail(n.line, key, "must be a list, e.g. [a, b]")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		path := fmt.Sprintf("%s[%d]", key, i)
		if item.kind == nullNode {
			d.fail(item.line, path, "is empty; give a value or remove it")
			continue
		}
		d.value(item, v.Index(i), path, tag)
	}
}

// settings merges a map of scalars over the defaults; null takes a default out.
func (d *decoder) settings(n *node, v reflect.Value, key string) {
	if n.kind != mapNode {
		d.fail(n.line, key, "must be a map of keys")
		return
	}
	seen := map[string]int{}
	for _, k := range n.keys {
		path := join(key, k.name)
		d.lines[path] = k.line
		if first, again := seen[k.name]; again {
			d.fail(k.line, path, "given before, on line %d; keep one", first)
		}
		seen[k.name] = k.line
		if k.value.kind == nullNode {
			v.SetMapIndex(reflect.ValueOf(k.name), reflect.Value{})
			continue
		}
		text := reflect.New(v.Type().Elem()).Elem()
		d.scalar(k.value, text, path, "")
		v.SetMapIndex(reflect.ValueOf(k.name), text)
	}
}

// scalar replaces references and sets v. Faults show the text as it is written in the file, and of a secret nothing.
func (d *decoder) scalar(n *node, v reflect.Value, key string, tag reflect.StructTag) {
	if n.kind != textNode {
		d.fail(n.line, key, "must be a single value")
		return
	}
	text := n.text
	if n.str {
		var err error
		if text, err = d.expand(n.text); err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				d.fail(n.line, key, "%s", line)
			}
			return
		}
	}
	if text != n.text {
		d.written[key] = n.text
	}
	if v.Type() == secretType {
		v.Set(reflect.ValueOf(NewSecret(text)))
		return
	}
	if message := setScalar(v, text, tag); message != "" {
		d.fail(n.line, key, "%q %s", n.text, message)
	}
}

// setScalar answers with what is wrong with text, or "".
func setScalar(v reflect.Value, text string, tag reflect.StructTag) string {
	var err error
	switch {
	case v.Type() == durationType:
		var dur time.Duration
		dur, err = parseDuration(text)
		v.SetInt(int64(dur))
	case v.Type() == sizeType:
		var size Size
		size, err = parseSize(text)
		v.SetInt(int64(size))
	case v.Kind() == reflect.Bool:
		var b bool
		if b, err = strconv.ParseBool(text); err != nil {
			return "is neither true nor false"
		}
		v.SetBool(b)
	case v.CanFloat():
		var f float64
		if f, err = strconv.ParseFloat(text, 64); err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return "is not a number"
		}
		v.SetFloat(f)
	case v.CanInt():
		var i int64
		if i, err = strconv.ParseInt(text, 10, v.Type().Bits()); err != nil {
			return "is not a whole number of this size"
		}
		v.SetInt(i)
	default:
		v.SetString(text)
		return checkEnum(text, tag)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func checkEnum(text string, tag reflect.StructTag) string {
	enum, ok := tag.Lookup("enum")
	if !ok {
		return ""
	}
	later := strings.Split(tag.Get("later"), ",")
	if text != "" && slices.Contains(later, text) {
		return "is not in this version; this one has " + choices(enum, later)
	}
	if !slices.Contains(strings.Split(enum, ","), text) {
		return "is not one of " + choices(enum, later)
	}
	return ""
}

// choices lists the values of enum that this version has.
func choices(enum string, later []string) string {
	var out []string
	for _, v := range strings.Split(enum, ",") {
		if v == "" {
			out = append(out, `""`)
		} else if !slices.Contains(later, v) {
			out = append(out, v)
		}
	}
	return strings.Join(out, ", ")
}

func fieldNamed(t reflect.Type, name string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && f.Tag.Get("yaml") == name {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// suggestion names the keys that stand in t's place, so that a typo is seen at once.
func suggestion(t reflect.Type, name string) string {
	var names []string
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() {
			names = append(names, f.Tag.Get("yaml"))
		}
	}
	for _, n := range names {
		if near(n, name) {
			return fmt.Sprintf("; did you mean %s?", n)
		}
	}
	return "; known here: " + strings.Join(names, ", ")
}

var separators = strings.NewReplacer("_", "", "-", "")

// near tells words that differ in case, separators or a letter or two.
func near(a, b string) bool {
	fold := func(s string) string { return separators.Replace(strings.ToLower(s)) }
	return distance(fold(a), fold(b), 2) <= min(2, len(a)/3)
}

// distance is the edit distance of a and b, or more than limit.
func distance(a, b string, limit int) int {
	if len(a) > len(b)+limit || len(b) > len(a)+limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
