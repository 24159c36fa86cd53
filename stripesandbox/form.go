package stripesandbox

// The parameters of a request: items[0][price_data][currency]=usd.

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// form has the parameters by their full names.
type form url.Values

var (
	index    = regexp.MustCompile(`\[\d*\]`)
	metadata = regexp.MustCompile(`^metadata\[[^\[\]]+\]$`)
)

// general is a parameter's name for any index, as rules have it.
func general(name string) string {
	if metadata.MatchString(name) {
		return "metadata[]"
	}
	return index.ReplaceAllString(name, "[]")
}

// check holds the parameters against the rules of an endpoint: the names that it knows, with [] for
// any index, then ":" and the type of what is no text, then "!" if it is required.
func (f form) check(rules string) error {
	types := map[string]string{}
	var required []string
	for _, rule := range strings.Fields(rules) {
		rule, must := strings.CutSuffix(rule, "!")
		name, kind, _ := strings.Cut(rule, ":")
		types[name] = kind
		if must {
			required = append(required, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		kind, known := types[general(name)]
		if !known || strings.Contains(name, "[][") { // of which it is unclear what belongs together
			return invalid("parameter_unknown", name, "Received unknown parameter: %s", name)
		}
		for _, value := range f[name] {
			if value == "" {
				continue // clears, where that is possible
			}
			switch kind {
			case "int":
				if _, err := strconv.ParseInt(value, 10, 64); err != nil {
					return invalid("parameter_invalid_integer", name, "Invalid integer: %s", value)
				}
			case "decimal":
				if _, err := hundredths(value); err != nil {
					return invalid("", name, "Invalid decimal: %s", value)
				}
			case "bool":
				if value != "true" && value != "false" {
					return invalid("", name, "Invalid boolean: %s", value)
				}
			}
		}
	}
	for _, name := range required {
		if err := f.require(name); err != nil {
			return err
		}
	}
	return nil
}

// require refuses a form without the parameters.
func (f form) require(names ...string) error {
	for _, name := range names {
		if f.text(name) == "" {
			return invalid("parameter_missing", name, "Missing required param: %s.", name)
		}
	}
	return nil
}

func (f form) has(name string) bool { return len(f[name]) > 0 }

func (f form) text(name string) string { return url.Values(f).Get(name) }

// optional is nil for a text that is not there.
func (f form) optional(name string) *string {
	if text := f.text(name); text != "" {
		return &text
	}
	return nil
}

// int is 0 for what is not there.
func (f form) int(name string) int64 {
	number, _ := strconv.ParseInt(f.text(name), 10, 64) // checked before
	return number
}

// optionalInt is nil for a number that is not there.
func (f form) optionalInt(name string) *int64 {
	if f.text(name) == "" {
		return nil
	}
	number := f.int(name)
	return &number
}

func (f form) bool(name string) bool { return f.text(name) == "true" }

// texts are the values of name[] and name[0], name[1]….
func (f form) texts(name string) []string {
	all := slices.Clone(f[name+"[]"])
	for _, element := range f.elements(name) {
		all = append(all, f.text(element))
	}
	return all
}

// elements are the names name[0], name[1]… that parameters begin with.
func (f form) elements(name string) []string {
	found := map[int]string{}
	for full := range f {
		inside, in := strings.CutPrefix(full, name+"[")
		number, _, _ := strings.Cut(inside, "]")
		if i, err := strconv.Atoi(number); in && err == nil {
			found[i] = name + "[" + number + "]"
		}
	}
	elements := make([]string, 0, len(found))
	for _, i := range slices.Sorted(maps.Keys(found)) {
		elements = append(elements, found[i])
	}
	return elements
}

// metadata puts the parameters of that name into what an object has; an empty value removes a key,
// an empty metadata all.
func (f form) metadata(old map[string]string) map[string]string {
	merged := map[string]string{}
	if !f.has("metadata") {
		maps.Copy(merged, old)
	}
	for name := range f {
		if metadata.MatchString(name) {
			key := strings.TrimSuffix(strings.TrimPrefix(name, "metadata["), "]")
			if value := f.text(name); value != "" {
				merged[key] = value
			} else {
				delete(merged, key)
			}
		}
	}
	return merged
}

// hundredths reads a decimal of up to two places.
func hundredths(decimal string) (int64, error) {
	whole, fraction, _ := strings.Cut(decimal, ".")
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > 2 {
		return 0, strconv.ErrSyntax
	}
	number, err := strconv.ParseUint(whole+(fraction + "00")[:2], 10, 32)
	return int64(number), err
}
