// Package seed fills an empty database with organizations that nobody founded: many, plausible, and
// the same each time, to try and to measure things with.
package seed

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"studio/db"
	"studio/text"
)

// Password opens all users' accounts. It is no secret, and neither is its hash, which is written
// here because a new salt would make another database each time.
const (
	Password     = "seeded-organizations"
	passwordHash = "$argon2id$v=19$m=19456,t=2,p=1$c3R1ZGlvLXNlZWQtc2FsdA$VnQ4wonMEm5J8akZ/6MTOSL0euEWjXXudc/9u1T4Z7M"
)

// ErrNotEmpty says that the database is in use.
var ErrNotEmpty = errors.New("this database holds organizations already; seed an empty one")

const (
	usersEach     = 5
	membersEach   = 5 // users and invitations
	instancesEach = 8
	invoicesEach  = 24

	// ownedEach is how many organizations an owner founded.
	ownedEach = 20
	// block is how many organizations have one large among them.
	block = 20
	// flushEach is how many organizations are inserted at once.
	flushEach = 100
)

var (
	// firstSignUp is when the first user came, and firstFounding when the first organization did.
	firstSignUp   = time.Date(2023, 1, 9, 8, 0, 0, 0, time.UTC)
	firstFounding = time.Date(2024, 1, 8, 9, 0, 0, 0, time.UTC)
	// now is when everything has happened.
	now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
)

const year = 365 * 24 * time.Hour

// Organizations adds organizations with their users, instances, bills and logs, and returns an
// owner of some of them. The same count makes the same rows. ErrNotEmpty.
//
// Stripe and its sandbox know nothing of them.
func Organizations(ctx context.Context, database *db.DB, count int) (*db.User, error) {
	var first *db.User
	err := database.InTx(ctx, func(tx *db.DB) error {
		if found, err := tx.AnyOrganization(ctx); err != nil || found {
			return errors.Join(err, ErrNotEmpty)
		}
		m := newMaker(count)
		first = m.owners[0]
		if err := tx.InsertBatch(ctx, m.take()); err != nil {
			return err
		}
		for i := range count {
			m.organization(i)
			if (i+1)%flushEach == 0 || i+1 == count {
				if err := tx.InsertBatch(ctx, m.take()); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return first, err
}

// maker makes rows up. All chance comes from one source, which begins the same each time.
type maker struct {
	*rand.Rand
	count           int
	owners, members []*db.User
	nextMember      int
	batch           *db.Batch
}

// newMaker makes the users.
func newMaker(count int) *maker {
	m := &maker{Rand: rand.New(rand.NewChaCha8([32]byte([]byte("Studio Organizations, made up 01")))), count: count, batch: &db.Batch{}}
	users := usersEach * count
	owners := max(1, count/ownedEach)
	for i := range users {
		at := spread(firstSignUp, i, users)
		verified := at.Add(5 * time.Minute)
		user := &db.User{
			ID: m.id(db.UserPrefix, at), FirstName: pick(m, firstNames), LastName: pick(m, lastNames), PasswordHash: passwordHash,
			EmailVerifiedAt: &verified, CreatedAt: at,
		}
		user.NameKey = text.Fold(user.Name())
		user.Email = strings.ToLower(fmt.Sprintf("%s.%s%d@example.com", user.FirstName, user.LastName, i+1))
		m.batch.Users = append(m.batch.Users, user)
	}
	m.owners, m.members = m.batch.Users[:owners], m.batch.Users[owners:]
	return m
}

// take returns what was made since the last time.
func (m *maker) take() *db.Batch {
	batch := m.batch
	m.batch = &db.Batch{}
	return batch
}

// id is one of ours or, with Stripe's prefixes, one as its sandbox makes them.
func (m *maker) id(prefix string, at time.Time) string {
	var bits [16]byte
	binary.LittleEndian.PutUint64(bits[:8], m.Uint64())
	binary.LittleEndian.PutUint64(bits[8:], m.Uint64())
	return db.IDFrom(prefix, at, bits)
}

// between is a time span up to the longest, in whole seconds.
func (m *maker) between(shortest, longest time.Duration) time.Duration {
	return shortest + time.Duration(m.Int64N(int64((longest-shortest)/time.Second)))*time.Second
}

func pick[T any](m *maker, from []T) T { return from[m.IntN(len(from))] }

// spread is the time of the i-th of so many things that happened within a year.
func spread(first time.Time, i, count int) time.Time {
	return first.Add(year / time.Duration(count) * time.Duration(i)).Truncate(time.Second)
}

// share is the part of a total that the i-th of so many gets; all parts are the total.
func share(total, parts, i int) int { return total*(i+1)/parts - total*i/parts }
