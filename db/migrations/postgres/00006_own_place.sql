-- +goose Up
-- A user's place in an organization is found at once, in however many others they are.
DROP INDEX memberships_of_user;
ALTER TABLE memberships DROP CONSTRAINT memberships_organization_id_user_id_key;
CREATE UNIQUE INDEX memberships_of_user ON memberships (user_id, organization_id);
DROP INDEX memberships_of_email;
CREATE INDEX memberships_of_email ON memberships (email, organization_id);

-- +goose Down
DROP INDEX memberships_of_email;
CREATE INDEX memberships_of_email ON memberships (email);
DROP INDEX memberships_of_user;
ALTER TABLE memberships ADD UNIQUE (organization_id, user_id);
CREATE INDEX memberships_of_user ON memberships (user_id);
