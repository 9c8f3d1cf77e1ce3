package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// reference is a value that stands for another: any scalar may be one.
const reference = `\$\{[^}]*\}`

// schema is the part of JSON Schema (2020-12) that a configuration needs; properties keep the structs' order.
type schema struct {
	Schema      string     `json:"$schema,omitempty"`
	Title       string     `json:"title,omitempty"`
	Description string     `json:"description,omitempty"`
	Type        any        `json:"type,omitempty"`
	Enum        []any      `json:"enum,omitempty"`
	Pattern     string     `json:"pattern,omitempty"`
	AnyOf       []schema   `json:"anyOf,omitempty"`
	Default     any        `json:"default,omitempty"`
	WriteOnly   bool       `json:"writeOnly,omitempty"`
	Items       *schema    `json:"items,omitempty"`
	Properties  properties `json:"properties,omitempty"`
	Required    []string   `json:"required,omitempty"`
	Additional  any        `json:"additionalProperties,omitempty"`
}

type properties []property

type property struct {
	name string
	schema
}

// MarshalJSON writes an object in the properties' order.
func (ps properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range ps {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := encode(p.name)
		if err != nil {
			return nil, err
		}
		value, err := encode(p.schema)
		if err != nil {
			return nil, err
		}
		b.Write(append(append(name, ':'), value...))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode is json.Marshal that leaves <, > and & as people write them.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Schema is the configuration's JSON Schema (2020-12), indented. It has every key, those of later versions too.
func Schema() ([]byte, error) {
	root := describe(reflect.ValueOf(Default()).Elem(), "")
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "calcdc configuration"
	b, err := encode(root)
	if err != nil {
		return nil, fmt.Errorf("encoding the schema: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return nil, fmt.Errorf("indenting the schema: %w", err)
	}
	return out.Bytes(), nil
}

// describe turns v, which holds the defaults, and the tag of its field into a schema.
func describe(v reflect.Value, tag reflect.StructTag) schema {
	s := schema{Description: tag.Get("doc")}
	t := v.Type()
	switch {
	case t == secretType:
		s.Type, s.WriteOnly = []string{"string", "number", "boolean", "null"}, true
	case t == durationType:
		s.AnyOf = scalars(schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}, schema{Type: "integer", Enum: []any{0}})
		s.Default = shortDuration(v.Interface().(time.Duration))
	case t == sizeType:
		s.AnyOf = scalars(schema{Type: "integer"}, schema{Type: "string", Pattern: `^[0-9]+ *([KMG]iB|[kMG]?B)?$`})
		s.Default = v.Interface().(Size).String()
	case t.Kind() == reflect.Pointer:
		elem := reflect.New(t.Elem())
		return describe(withDefaults(elem), tag)
	case t.Kind() == reflect.Struct:
		describeStruct(&s, v)
	case t.Kind() == reflect.Slice:
		item := describe(withDefaults(reflect.New(t.Elem())), reflect.StructTag(""))
		if tag.Get("enum") != "" {
			item = enumOf(tag)
		}
		item.Default = nil
		s.Type, s.Items = []string{"array", "null"}, &item
		if v.Len() > 0 && t.Elem().Kind() == reflect.String {
			s.Default = v.Interface()
		}
	case t.Kind() == reflect.Map:
		s.Type, s.Default = []string{"object", "null"}, v.Interface()
		s.Additional = schema{Type: []string{"string", "number", "boolean", "null"}}
	case t.Kind() == reflect.Bool:
		s.AnyOf, s.Default = scalars(schema{Type: "boolean"}), v.Interface()
	case v.CanFloat():
		s.AnyOf, s.Default = scalars(schema{Type: "number"}), v.Interface()
	case v.CanInt():
		s.AnyOf, s.Default = scalars(schema{Type: "integer"}), v.Interface()
	default:
		describeString(&s, v, tag)
	}
	return finish(s, tag)
}

// scalars are the forms of a scalar with the one that any has: a reference, or nothing.
func scalars(forms ...schema) []schema {
	return append(forms, schema{Type: "string", Pattern: reference}, schema{Type: "null"})
}

func describeString(s *schema, v reflect.Value, tag reflect.StructTag) {
	if tag.Get("enum") != "" {
		s.AnyOf = enumOf(tag).AnyOf
	} else {
		s.Type = []string{"string", "number", "boolean", "null"}
	}
	if v.String() != "" {
		s.Default = v.String()
	}
}

func enumOf(tag reflect.StructTag) schema {
	var values []any
	for _, v := range strings.Split(tag.Get("enum"), ",") {
		values = append(values, v)
	}
	return schema{AnyOf: scalars(schema{Enum: values})}
}

func describeStruct(s *schema, v reflect.Value) {
	s.Type, s.Additional = []string{"object", "null"}, false
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		name := f.Tag.Get("yaml")
		s.Properties = append(s.Properties, property{name, describe(v.Field(i), f.Tag)})
		if strings.HasPrefix(f.Tag.Get("doc"), "Required. ") {
			s.Required = append(s.Required, name)
		}
	}
}

// finish says what of the key is not in this version.
func finish(s schema, tag reflect.StructTag) schema {
	if later := tag.Get("later"); later != "" {
		s.Description += " Not in this version: " + later + "."
	}
	return s
}

func withDefaults(p reflect.Value) reflect.Value {
	if d, ok := p.Interface().(defaulter); ok {
		d.setDefaults()
	}
	return p.Elem()
}

// shortDuration writes 24h0m0s as 24h.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
