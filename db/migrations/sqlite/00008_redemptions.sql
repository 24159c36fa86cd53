-- +goose Up
-- A coupon of Stripe's limits its redemptions over all its promotion codes. Which coupon a row is of is not
-- known here for those there are: they go on counting for their promotion code.
ALTER TABLE coupons ADD COLUMN stripe_id text;
CREATE INDEX coupons_of_stripe_id ON coupons (stripe_id);

-- +goose Down
DROP INDEX coupons_of_stripe_id;
ALTER TABLE coupons DROP COLUMN stripe_id;
