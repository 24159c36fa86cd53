package graph

import "studio/db"

// Connection is a page of a list, as in Relay's cursor connections.
type Connection[T any] struct {
	Edges      []*Edge[T]
	Nodes      []*T
	PageInfo   *PageInfo
	TotalCount int32
}

// Edge is an entry of a list with its place there.
type Edge[T any] struct {
	Cursor string
	Node   *T
}

// The connections of the schema, and their edges.
type (
	// OrganizationConnection is a page of organizations.
	OrganizationConnection = Connection[db.Organization]
	// OrganizationEdge is one of them.
	OrganizationEdge = Edge[db.Organization]
	// OrganizationUserConnection is a page of an organization's users.
	OrganizationUserConnection = Connection[db.Membership]
	// OrganizationUserEdge is one of them.
	OrganizationUserEdge = Edge[db.Membership]
	// InstanceConnection is a page of an organization's instances.
	InstanceConnection = Connection[db.Instance]
	// InstanceEdge is one of them.
	InstanceEdge = Edge[db.Instance]
	// InvoiceConnection is a page of an organization's invoices.
	InvoiceConnection = Connection[db.Invoice]
	// InvoiceEdge is one of them.
	InvoiceEdge = Edge[db.Invoice]
	// EventConnection is a page of an organization's log.
	EventConnection = Connection[db.Event]
	// EventEdge is one of them.
	EventEdge = Edge[db.Event]
)
