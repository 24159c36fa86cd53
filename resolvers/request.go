package resolvers

// The request: who calls, and how signing in and out reaches a browser.

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/realclientip/realclientip-go"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"studio/account"
	"studio/db"
	"studio/fault"
	"studio/plan"
	"studio/transport"
)

const (
	// cookieName is the cookie that holds a browser's session token.
	cookieName = "studio_session"
	// cookieLifetime is as long as browsers keep any cookie. What ends is the session, which streams prolong, too,
	// that can set none.
	cookieLifetime = 400 * day
	day            = 24 * time.Hour
)

// request is an HTTP request or a WebSocket. Its token changes when an operation signs in or out,
// and each operation looks the token up anew: revoked means revoked.
type request struct {
	client account.Client
	secure bool
	// response is what cookies are set on; nil where its headers are sent before an operation runs.
	response http.ResponseWriter
	// idempotencyKeys are those of the header; a WebSocket, which carries many requests, has none.
	idempotencyKeys []string
	// byCookie is whether the request's own token came as a cookie.
	byCookie bool

	mu    sync.Mutex
	token string
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// admit puts the request into the context of what is executed for it. The transport has made sure
// that the cookie may be relied on when there is no authorization. Opening a WebSocket counts as one
// operation against the limit.
func (r *Resolvers) admit(
	options HandlerOptions, limit limiter,
) func(ctx context.Context, w http.ResponseWriter, httpRequest *http.Request, authorization string) (context.Context, error) {
	addressOf := clientAddress(options.TrustedProxies)
	return func(ctx context.Context, w http.ResponseWriter, httpRequest *http.Request, authorization string) (context.Context, error) {
		admitted := &request{
			client:   account.Client{IPAddress: addressOf(httpRequest), UserAgent: httpRequest.UserAgent()},
			secure:   options.Secure,
			response: w,
		}
		if authorization != "" {
			scheme, token, _ := strings.Cut(authorization, " ")
			if strings.EqualFold(scheme, "Bearer") {
				admitted.token = strings.TrimSpace(token)
			}
		} else if cookie, err := httpRequest.Cookie(cookieName); err == nil && !account.IsAPIToken(cookie.Value) {
			admitted.token, admitted.byCookie = cookie.Value, true
		}
		ctx = context.WithValue(ctx, requestKey{}, admitted)
		isWebSocket := transport.AsksForWebSocket(httpRequest)
		if isWebSocket {
			if err := limit(ctx, 1); err != nil {
				return nil, err
			}
		} else {
			admitted.idempotencyKeys = httpRequest.Header.Values(transport.IdempotencyHeader)
		}
		// A WebSocket with a token that opens nothing is refused at once: its client would find
		// out only operation by operation. Over HTTP the caller is then nobody, and may sign in.
		if isWebSocket && authorization != "" {
			caller, err := r.Accounts.Authenticate(ctx, admitted.token)
			if err != nil {
				return nil, err
			}
			if caller == nil {
				return nil, fault.New(fault.Unauthenticated, "This token is invalid or no longer works. Sign in again.")
			}
		}
		return ctx, nil
	}
}

// clientAddress tells the IP address of the client. A proxy's word for it counts only when the proxy
// is trusted: anybody can send the header.
func clientAddress(trusted []net.IPNet) func(r *http.Request) string {
	forwarded := realclientip.Must(realclientip.NewRightmostTrustedRangeStrategy("X-Forwarded-For", trusted))
	return func(r *http.Request) string {
		var remote string
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			remote = peer.Addr().Unmap().WithZone("").String()
		}
		isProxy := slices.ContainsFunc(trusted, func(network net.IPNet) bool { return network.Contains(net.ParseIP(remote)) })
		if !isProxy {
			return remote
		}
		return cmp.Or(forwarded.ClientIP(r.Header, r.RemoteAddr), remote)
	}
}

// current is the token that the request acts with, "" when it acts for nobody.
func (r *request) current() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.token
}

// use makes the rest of the request act with another token, none when it is "".
func (r *request) use(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.token = token
	r.setCookie(token)
}

// renew has a browser that is used keep its cookie. It does so only until the first use of a day is noted, which
// takes a minute at the most: an answer that is on its way while somebody else signs in brings back the session
// that it was asked with.
func (r *request) renew(token string, now, lastUsedAt time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byCookie && r.token == token && lastUsedAt.Before(now.Truncate(day)) {
		r.setCookie(token)
	}
}

func (r *request) setCookie(token string) {
	if r.response == nil {
		return
	}
	cookie := &http.Cookie{
		Name: cookieName, Value: token, Path: "/", HttpOnly: true, Secure: r.secure, SameSite: http.SameSiteLaxMode,
		MaxAge: int(cookieLifetime.Seconds()),
	}
	if token == "" {
		cookie.MaxAge = -1
	}
	r.response.Header().Set("Set-Cookie", cookie.String()) // and not one more: the last one counts
}

// operation is what one operation of a request knows: its caller, who changes when it signs in or
// out. That happens in root fields of mutations, which run one after the other.
type operation struct {
	caller *account.Caller
	// changed is set once a root field of a mutation has run.
	changed bool
}

type operationKey struct{}

// callerOf is who calls, nil when nobody is signed in.
func callerOf(ctx context.Context) *account.Caller {
	if op, known := ctx.Value(operationKey{}).(*operation); known {
		return op.caller
	}
	return nil
}

// actAs makes the rest of the operation, and of its request, act as a caller or as nobody.
func actAs(ctx context.Context, token string, caller *account.Caller) {
	requestOf(ctx).use(token)
	if op, known := ctx.Value(operationKey{}).(*operation); known {
		op.caller = caller
	}
}

// planned answers operations that have a plan. Like authenticate, which runs only for the others, it
// comes after the limits.
func (r *Resolvers) planned(plans *plan.Plans) graphql.OperationMiddleware {
	return func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
		in := requestOf(ctx)
		token := in.current()
		var credential *db.Credential
		if token != "" {
			credential = r.Accounts.Credential(token)
		}
		answer := plans.Answer(ctx, graphql.GetOperationContext(ctx), credential)
		if answer == nil {
			return next(ctx)
		}
		if answer.Authenticated {
			if err := r.Accounts.NoteUse(ctx, credential, answer.LastUsedAt); err != nil {
				return graphql.OneShot(&graphql.Response{Errors: gqlerror.List{present(ctx, err)}})
			}
			in.renew(token, credential.At, answer.LastUsedAt)
		}
		return graphql.OneShot(&graphql.Response{Data: answer.Data})
	}
}

// authenticate begins an operation. It runs after the operation was parsed, validated and
// measured, so that what is refused there reaches no database.
func (r *Resolvers) authenticate(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	in := requestOf(ctx)
	token := in.current()
	caller, err := r.lookUp(ctx, token)
	if err != nil {
		return graphql.OneShot(&graphql.Response{Errors: gqlerror.List{present(ctx, err)}})
	}
	if caller != nil && caller.Session != nil {
		in.renew(token, r.DB.Now(), caller.Session.LastUsedAt)
	}
	return next(context.WithValue(ctx, operationKey{}, &operation{caller: caller}))
}

// lookUp finds whose token it is, nil when it opens nothing.
func (r *Resolvers) lookUp(ctx context.Context, token string) (*account.Caller, error) {
	if token == "" {
		return nil, nil
	}
	return r.Accounts.Authenticate(ctx, token)
}

// beginRootField has each root field of a mutation begin anew, as the one before may have changed
// everything: whether the token works, who calls, and what was loaded.
func (r *Resolvers) beginRootField(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	if graphql.GetOperationContext(ctx).Operation.Operation != ast.Mutation {
		return next(ctx)
	}
	op, _ := ctx.Value(operationKey{}).(*operation)
	if op.changed {
		caller, err := r.lookUp(ctx, requestOf(ctx).current())
		if err != nil {
			graphql.AddError(ctx, err)
			return graphql.Null
		}
		op.caller = caller
	}
	op.changed = true
	return next(r.withLoaders(ctx))
}
