package account

import (
	"strings"
	"testing"
)

// The parameters are part of each stored hash, so this shows what is stored in production.
func TestRecommendedHashing(t *testing.T) {
	t.Parallel()
	accounts := &Accounts{hashing: RecommendedHashing}
	hash, err := accounts.hashPassword(t.Context(), "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("stored as %s", hash)
	}
	for password, want := range map[string]bool{"correct horse battery": true, "Correct horse battery": false, "": false} {
		if matches, err := passwordMatches(t.Context(), password, hash); err != nil || matches != want {
			t.Errorf("%q matches: %t, %v", password, matches, err)
		}
	}
}
