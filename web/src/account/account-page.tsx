// A person's own account: name, password, where they are signed in, and tokens for programs.
import { useState } from "react";
import { useMutation, useQuery } from "urql";
import { Dialog } from "../components/dialog";
import { When } from "../components/figures";
import { Field, Form } from "../components/form";
import { Answered, Empty, Heading } from "../components/page";
import { Secret } from "../components/secret";
import {
  type Access,
  AccessDocument,
  ChangePasswordDocument,
  CreateApiTokenDocument,
  RevokeApiTokenDocument,
  RevokeSessionDocument,
  UpdateProfileDocument,
} from "../graphql";
import { useViewer } from "../session";
import { NewPasswordField } from "./new-password-field";
import { VerifyNotice } from "./verify-notice";

type Viewer = NonNullable<Access["viewer"]>;

/** AccountPage is about the person who is signed in. */
export function AccountPage() {
  const query = useQuery({ query: AccessDocument });
  return (
    <>
      <Heading>Account</Heading>
      <VerifyNotice />
      <div className="cards">
        <Profile />
        <Password />
      </div>
      <Answered query={query}>
        {({ viewer }) =>
          viewer && (
            <>
              <Sessions sessions={viewer.sessions} />
              <ApiTokens tokens={viewer.apiTokens} />
            </>
          )
        }
      </Answered>
    </>
  );
}

function Profile() {
  const { user, emailVerified } = useViewer();
  const [, update] = useMutation(UpdateProfileDocument);
  return (
    <section className="card">
      <h2>Profile</h2>
      <p>
        {user.email}{" "}
        {emailVerified ? (
          <span className="badge good">Verified</span>
        ) : (
          <span className="badge warning">Not verified</span>
        )}
      </p>
      <Form
        send={({ firstName, lastName }) => update({ input: { firstName, lastName } })}
        submit="Save"
        told="Your name is saved."
      >
        <Field
          name="firstName"
          label="First name"
          autoComplete="given-name"
          defaultValue={user.firstName}
        />
        <Field
          name="lastName"
          label="Last name"
          autoComplete="family-name"
          defaultValue={user.lastName}
        />
      </Form>
    </section>
  );
}

function Password() {
  const [, change] = useMutation(ChangePasswordDocument);
  return (
    <section className="card">
      <h2>Password</h2>
      <Form
        send={({ currentPassword = "", newPassword = "" }) =>
          change({ input: { currentPassword, newPassword } })
        }
        submit="Change the password"
        told="Your password is changed, and every other session is signed out."
      >
        <Field
          name="currentPassword"
          label="Current password"
          type="password"
          autoComplete="current-password"
        />
        <NewPasswordField />
      </Form>
    </section>
  );
}

function Sessions({ sessions }: { sessions: Viewer["sessions"] }) {
  const [, revoke] = useMutation(RevokeSessionDocument);
  return (
    <>
      <h2>Where you are signed in</h2>
      <ul className="rows">
        {sessions.map(({ id, current, userAgent, ipAddress, lastUsedAt }) => (
          <li key={id}>
            <div>
              <p>
                {userAgent ?? "Unknown program"}{" "}
                {current && <span className="badge good">This one</span>}
              </p>
              <p className="quiet">
                {ipAddress} · used <When at={lastUsedAt} time />
              </p>
            </div>
            {!current && (
              <Form
                send={() => revoke({ input: { sessionId: id } })}
                submit="Sign out there"
                label={`Sign out there: ${userAgent ?? "Unknown program"}, ${ipAddress}`}
                told="That session is signed out."
              />
            )}
          </li>
        ))}
      </ul>
    </>
  );
}

function ApiTokens({ tokens }: { tokens: Viewer["apiTokens"] }) {
  const [, revoke] = useMutation(RevokeApiTokenDocument);
  return (
    <>
      <header className="heading">
        <h2>API tokens</h2>
        <Dialog open="Create a token" title="Create an API token">
          {(close) => <NewToken close={close} />}
        </Dialog>
      </header>
      {tokens.length === 0 && (
        <Empty>
          There are none. With a token, a program acts as you; it cannot touch sessions, passwords
          or tokens.
        </Empty>
      )}
      {tokens.length > 0 && (
        <ul className="rows">
          {tokens.map(({ id, name, lastUsedAt, expiresAt }) => (
            <li key={id}>
              <div>
                <h3>{name}</h3>
                <p className="quiet">
                  {lastUsedAt ? (
                    <>
                      used <When at={lastUsedAt} time />
                    </>
                  ) : (
                    "never used"
                  )}
                  {" · "}
                  {expiresAt ? (
                    <>
                      works until <When at={expiresAt} />
                    </>
                  ) : (
                    "works until it is revoked"
                  )}
                </p>
              </div>
              <Dialog open="Revoke" label={`Revoke ${name}`} title={`Revoke ${name}?`}>
                {(close) => (
                  <>
                    <p>Programs that use it are turned away from now on.</p>
                    <Form
                      send={() => revoke({ input: { apiTokenId: id } })}
                      submit="Revoke it"
                      dangerous
                      told={`${name} is revoked.`}
                      done={close}
                    />
                  </>
                )}
              </Dialog>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function NewToken({ close }: { close: () => void }) {
  const [, create] = useMutation(CreateApiTokenDocument);
  const [token, setToken] = useState<string>();
  if (token) return <Secret what="token" value={token} close={close} />;
  return (
    <Form
      send={({ name = "", expiresAt: day }) => {
        // The day ends where the person is.
        const expiresAt = day ? new Date(`${day}T23:59:59`).toISOString() : undefined;
        return create({ input: { name, expiresAt } });
      }}
      submit="Create"
      told="The token is created."
      done={({ createApiToken }) => setToken(createApiToken.token)}
    >
      <Field
        name="name"
        label="Name"
        hint="What it is for, such as deployment."
        autoComplete="off"
      />
      <Field
        name="expiresAt"
        label="Last day (optional)"
        type="date"
        max="9999-12-31" // Date reads no longer years
        hint="Without one, it works until it is revoked."
      />
    </Form>
  );
}
