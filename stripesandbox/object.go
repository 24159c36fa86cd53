package stripesandbox

// How objects are kept, found, listed and expanded.

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"studio/db"
)

// object is what the sandbox keeps: one of Stripe's objects, in JSON exactly as Stripe's.
type object interface {
	customer | paymentMethod | product | coupon | promotionCode | discount | subscription | invoice |
		balanceTransaction | setupIntent | charge
	// key holds the kind, the ID, and the customer that it belongs to, or "".
	key() (kind, id, customer string)
}

// rowID is the ID in the table. Those of products and coupons are chosen by the client, so the kind
// keeps them apart from all others.
func rowID(kind, id string) string {
	if kind == "product" || kind == "coupon" {
		return kind + "/" + id
	}
	return id
}

// save keeps an object and reports it by the events.
func save[T object](t *turn, o *T, events ...string) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	kind, id, customer := (*o).key()
	row := &db.SandboxObject{ID: rowID(kind, id), Kind: kind, Customer: customer, Body: string(body)}
	if err := t.tx.PutSandboxObject(t.ctx, row); err != nil {
		return err
	}
	for _, event := range events {
		if err := t.tell(event, body); err != nil {
			return err
		}
	}
	return nil
}

// find looks an object up that a parameter names.
func find[T object](t *turn, id, param string) (*T, error) {
	o := new(T)
	kind, _, _ := (*o).key()
	row, err := t.tx.SandboxObjectByID(t.ctx, kind, rowID(kind, id))
	if errors.Is(err, db.ErrNotFound) {
		return nil, missing(kind, id, param)
	}
	if err != nil {
		return nil, err
	}
	return o, json.Unmarshal([]byte(row.Body), o)
}

// list finds the objects, of one customer unless it is "", newest first.
func list[T object](t *turn, customer string, keep func(o *T) bool) ([]*T, error) {
	kind, _, _ := (*new(T)).key()
	rows, err := t.tx.SandboxObjects(t.ctx, kind, customer)
	if err != nil {
		return nil, err
	}
	found := []*T{}
	for _, row := range slices.Backward(rows) {
		o := new(T)
		if err := json.Unmarshal([]byte(row.Body), o); err != nil {
			return nil, err
		}
		if keep(o) {
			found = append(found, o)
		}
	}
	return found, nil
}

// listOf is Stripe's list.
type listOf[T any] struct {
	Object  string `json:"object"`
	Data    []T    `json:"data"`
	HasMore bool   `json:"has_more"`
	URL     string `json:"url"`
}

// paging are the rules of the parameters that page takes.
const paging = " limit:int starting_after expand[]"

// page is the part of a list that the request asks for.
func page[T object](t *turn, customer string, keep func(o *T) bool) (any, error) {
	all, err := list(t, customer, keep)
	if err != nil {
		return nil, err
	}
	limit := 10
	if t.form.has("limit") {
		limit = int(t.form.int("limit"))
		if limit < 1 || limit > 100 {
			return nil, invalid("parameter_invalid_integer", "limit", "This value must be between 1 and 100.")
		}
	}
	if after := t.form.text("starting_after"); after != "" {
		at := slices.IndexFunc(all, func(o *T) bool {
			_, id, _ := (*o).key()
			return id == after
		})
		if at < 0 {
			kind, _, _ := (*new(T)).key()
			return nil, missing(kind, after, "starting_after")
		}
		all = all[at+1:]
	}
	part := all[:min(limit, len(all))]
	return listOf[*T]{Object: "list", Data: part, HasMore: len(part) < len(all), URL: t.path}, nil
}

// kindIn is what the IDs in a property are of.
var kindIn = map[string]string{
	"coupon":                 "coupon",
	"customer":               "customer",
	"default_payment_method": "payment_method",
	"discounts":              "discount",
	"invoice":                "invoice",
	"latest_invoice":         "invoice",
	"subscription":           "subscription",
}

// expand replaces the IDs at the paths by the objects.
func (t *turn) expand(o any, paths []string) (any, error) {
	if len(paths) == 0 {
		return o, nil
	}
	body, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	tree, err := decode(body)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if tree, err = t.expandAt(tree, "", strings.Split(path, "."), path); err != nil {
			return nil, err
		}
	}
	return tree, nil
}

// expandAt expands what the steps lead to from a value, which is that of the named property.
func (t *turn) expandAt(value any, name string, steps []string, path string) (_ any, err error) {
	switch v := value.(type) {
	case string:
		kind, known := kindIn[name]
		if !known {
			return nil, invalid("", "expand", "This property cannot be expanded (%s).", path)
		}
		row, err := t.tx.SandboxObjectByID(t.ctx, kind, rowID(kind, v))
		if err != nil {
			return nil, err
		}
		if value, err = decode([]byte(row.Body)); err != nil || len(steps) == 0 {
			return value, err
		}
		return t.expandAt(value, name, steps, path)
	case []any:
		for i := range v {
			if v[i], err = t.expandAt(v[i], name, steps, path); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		if len(steps) == 0 {
			return v, nil // expanded already
		}
		inner, known := v[steps[0]]
		if steps[0] == "applies_to" && v["object"] == "coupon" {
			inner, known = v["limit"], true
		}
		if !known {
			return nil, invalid("", "expand", "This property cannot be expanded (%s).", path)
		}
		v[steps[0]], err = t.expandAt(inner, steps[0], steps[1:], path)
	}
	return value, err
}

func decode(body []byte) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	return value, decoder.Decode(&value)
}
