// The operations that the Playground begins with: a first session, one tab for each step.

/** A tab of the Playground. */
export interface Operation {
  query: string;
  /** To fill in, as JSON. */
  variables?: string;
}

/** The tabs, in the order of a first session. */
export const operations: Operation[] = [
  {
    query: `# Sign up, which signs you in as well: the
# browser gets a cookie. Copy the ID of the
# organization for the tabs that follow.
mutation SignUp {
  signUp(input: {
    email: "owner@example.com"
    password: "correct horse battery"
    firstName: "Olive"
    lastName: "Owner"
  }) {
    viewer {
      landingOrganization { id name subdomain }
    }
  }
}`,
  },
  {
    query: `# Who am I, and where do I belong?
query Viewer {
  viewer {
    user { email firstName lastName }
    emailVerified
    organizations {
      nodes {
        id
        name
        subdomain
        instanceCount
        viewerMembership { isOwner }
      }
    }
  }
}`,
  },
  {
    query: `# Invite somebody; fill in the ID below. Without
# an SMTP server, the mail is at /dev/mailbox.
mutation Invite($organizationId: ID!, $email: String!) {
  inviteUser(input: { organizationId: $organizationId, email: $email }) {
    organizationUser { id status invitationDelivery invitationExpiresAt }
  }
}`,
    variables: `{
  "organizationId": "org_…",
  "email": "member@example.com"
}`,
  },
  {
    query: `# Follow who accepts: run this, then open the
# link in the mail in another browser.
subscription Accepted($organizationId: ID!) {
  invitationAccepted(organizationId: $organizationId) {
    email
    acceptedAt
    user { firstName lastName }
  }
}`,
    variables: `{
  "organizationId": "org_…"
}`,
  },
  {
    query: `# What can be had, and what does it cost?
# Amounts are in cents.
query Catalog {
  catalog {
    regions { id name }
    computePlans { id type ramMb price { amount currency } interval }
    storagePlans { sizeGb price { amount } }
  }
}`,
  },
];
