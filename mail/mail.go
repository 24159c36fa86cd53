// Package mail writes the mails that Studio sends and hands them over: to an SMTP server or, in
// development, to a mailbox that shows them in the browser.
package mail

import (
	"context"
	"errors"
)

// Message is one mail to one recipient.
type Message struct {
	// ID is unique to this mail, not to an attempt at sending it: the Message-ID header is made
	// from it, so that a mail which a crash makes go out twice is recognizably one.
	ID      string `json:"id"`
	To      string `json:"to"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html"`
}

// Sender hands over messages; *SMTP and *Mailbox are the two there are.
type Sender interface {
	// Send returns nil once the message is out of our hands, and an error that wraps
	// ErrPermanent when trying again is pointless.
	Send(ctx context.Context, m Message) error
}

// ErrPermanent says that a message was refused for good, not just for now.
var ErrPermanent = errors.New("the mail was refused for good")
