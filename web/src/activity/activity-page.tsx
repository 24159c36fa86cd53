// What has happened in an organization. For owners.
import { useQuery } from "urql";
import { When } from "../components/figures";
import { Answered, Heading } from "../components/page";
import { Pager, usePlace } from "../components/pager";
import { ActivityDocument } from "../graphql";
import { useOrganization } from "../organizations/organization-frame";
import { useViewer } from "../session";

/** ActivityPage shows the log, newest first; what happens while it is open appears by itself. */
export function ActivityPage() {
  const { id, name } = useOrganization();
  const { user } = useViewer();
  const [place, setPlace] = usePlace();
  const query = useQuery({ query: ActivityDocument, variables: { organizationId: id, ...place } });
  return (
    <>
      <Heading of={name}>Activity</Heading>
      <Answered query={query}>
        {({ organization }) =>
          organization?.events && (
            <>
              <ol className="rows">
                {organization.events.nodes.map(({ id, summary, createdAt, actor }) => (
                  <li key={id}>
                    <p>{summary}</p>
                    <p className="quiet">
                      {actor
                        ? `by ${actor.id === user.id ? "you" : `${actor.firstName} ${actor.lastName}`}`
                        : "by Studio"}
                      {" · "}
                      <When at={createdAt} time />
                    </p>
                  </li>
                ))}
              </ol>
              <p className="actions">
                <a href={`/organizations/${id}/events.csv`} download>
                  Download as CSV
                </a>
                <a href={`/organizations/${id}/events.ndjson`} download>
                  Download as NDJSON
                </a>
              </p>
              <Pager page={organization.events.pageInfo} move={setPlace} />
            </>
          )
        }
      </Answered>
    </>
  );
}
