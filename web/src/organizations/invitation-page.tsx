// Where the link in an invitation mail leads: for people with and without an account.
import { useState } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { useMutation, useQuery } from "urql";
import { SignInForm } from "../account/sign-in-page";
import { SignUpForm } from "../account/sign-up-page";
import { When } from "../components/figures";
import { Form } from "../components/form";
import { Answered, Heading, Loading } from "../components/page";
import {
  AcceptInvitationDocument,
  type Invitation as InvitationData,
  InvitationDocument,
  SignOutDocument,
  ViewerDocument,
} from "../graphql";
import { useSession } from "../session";

type Preview = NonNullable<InvitationData["invitation"]>;

/** InvitationPage shows the invitation that the token in the address belongs to. */
export function InvitationPage() {
  const { token = "" } = useParams();
  const query = useQuery({ query: InvitationDocument, variables: { token } });
  return (
    <section className="card">
      <Answered query={query}>
        {({ invitation }) =>
          invitation ? <Invited invitation={invitation} token={token} /> : <Unusable />
        }
      </Answered>
    </section>
  );
}

function Unusable() {
  return (
    <>
      <Heading>This invitation cannot be used</Heading>
      <p>It may have been used or taken back, or be older than 7 days. Ask for another one.</p>
      <p>
        <Link to="/">Go to Studio</Link>
      </p>
    </>
  );
}

function Invited({ invitation, token }: { invitation: Preview; token: string }) {
  const query = useQuery({ query: ViewerDocument });
  const [signedIn, setSignedIn] = useState(false);
  const navigate = useNavigate();
  const { organizationName, email, invitedBy, expiresAt, accountExists } = invitation;
  return (
    <>
      <Heading>{`Join ${organizationName}`}</Heading>
      <p>
        {invitedBy} invites <strong>{email}</strong>. The invitation works until{" "}
        <When at={expiresAt} />.
      </p>
      <Answered query={query}>
        {({ viewer }, fetching) => {
          if (signedIn && fetching) return <Loading />;
          if (viewer?.user.email === email)
            return <Join token={token} organization={organizationName} />;
          if (viewer) return <Other email={viewer.user.email} />;
          if (accountExists) {
            return (
              <>
                <p className="quiet">Sign in to join.</p>
                <SignInForm email={email} done={() => setSignedIn(true)} />
                <p>
                  <Link to="/forgot-password">Forgot your password?</Link>
                </p>
              </>
            );
          }
          return (
            <>
              <p className="quiet">
                Create your account to join. You get an organization of your own, too.
              </p>
              <SignUpForm
                invitation={{ email, token }}
                done={() => void navigate("/organizations")}
              />
            </>
          );
        }}
      </Answered>
    </>
  );
}

function Join({ token, organization }: { token: string; organization: string }) {
  const [, accept] = useMutation(AcceptInvitationDocument);
  const navigate = useNavigate();
  return (
    <Form
      send={() => accept({ input: { token } })}
      submit={`Join ${organization}`}
      told={`You have joined ${organization}.`}
      done={({ acceptInvitation: { organizationUser } }) =>
        void navigate(`/organizations/${organizationUser.organization.subdomain}`)
      }
    />
  );
}

function Other({ email }: { email: string }) {
  const [, signOut] = useMutation(SignOutDocument);
  const { renew } = useSession();
  return (
    <>
      <p>You are signed in as {email}. To join, sign out, and go on with the invited address.</p>
      <Form send={() => signOut({})} submit="Sign out" done={renew} />
    </>
  );
}
