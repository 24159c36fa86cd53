// Which page shows at which address.
import { Navigate, Route, Routes } from "react-router";
import { AccountPage } from "./account/account-page";
import { ForgotPasswordPage } from "./account/forgot-password-page";
import { ResetPasswordPage } from "./account/reset-password-page";
import { SignInPage } from "./account/sign-in-page";
import { SignUpPage } from "./account/sign-up-page";
import { VerifyEmailPage } from "./account/verify-email-page";
import { ActivityPage } from "./activity/activity-page";
import { BillingPage } from "./billing/billing-page";
import { useFocusKept } from "./components/page";
import { NotFound, SignedIn, SignedOut } from "./frame";
import { InstancesPage } from "./instances/instances-page";
import { InvitationPage } from "./organizations/invitation-page";
import { OrganizationFrame, OwnersOnly } from "./organizations/organization-frame";
import { OrganizationsPage } from "./organizations/organizations-page";
import { SettingsPage } from "./organizations/settings-page";
import { useViewer } from "./session";
import { UsersPage } from "./users/users-page";
import { WebhooksPage } from "./webhooks/webhooks-page";

/** Home leads into the only organization, or to the choice of several. */
function Home() {
  const { landingOrganization } = useViewer();
  const to = landingOrganization
    ? `/organizations/${landingOrganization.subdomain}`
    : "/organizations";
  return <Navigate to={to} replace />;
}

/** App shows the page of the address. */
export function App() {
  useFocusKept();
  return (
    <Routes>
      <Route element={<SignedOut />}>
        <Route path="sign-in" element={<SignInPage />} />
        <Route path="sign-up" element={<SignUpPage />} />
        <Route path="forgot-password" element={<ForgotPasswordPage />} />
        <Route path="reset-password/:token" element={<ResetPasswordPage />} />
        <Route path="verify-email/:token" element={<VerifyEmailPage />} />
        <Route path="invitations/:token" element={<InvitationPage />} />
      </Route>
      <Route element={<SignedIn />}>
        <Route index element={<Home />} />
        <Route path="account" element={<AccountPage />} />
        <Route path="organizations" element={<OrganizationsPage />} />
        <Route path="organizations/:subdomain" element={<OrganizationFrame />}>
          <Route index element={<InstancesPage />} />
          <Route element={<OwnersOnly />}>
            <Route path="users" element={<UsersPage />} />
            <Route path="billing" element={<BillingPage />} />
            <Route path="activity" element={<ActivityPage />} />
            <Route path="webhooks" element={<WebhooksPage />} />
          </Route>
          <Route path="settings" element={<SettingsPage />} />
          <Route path="*" element={<NotFound />} />
        </Route>
        <Route path="*" element={<NotFound />} />
      </Route>
    </Routes>
  );
}
