-- What is set aside and has not gone back yet; refunded_cents is what has. A refund: pending, done, voided.
ALTER TABLE payment ADD COLUMN refunding_cents BIGINT NOT NULL DEFAULT 0
    CHECK (refunding_cents >= 0 AND refunded_cents + refunding_cents <= amount_cents);
-- While pending: when the provider is asked again.
ALTER TABLE refund ADD COLUMN next_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX refund_pending ON refund (next_at) WHERE status = 'pending';

-- Both were one sum.
UPDATE payment SET
    refunded_cents = refunded_cents - (SELECT CAST(SUM(refund.amount_cents) AS BIGINT) FROM refund
        WHERE refund.payment_id = payment.id AND refund.status = 'pending'),
    refunding_cents = CASE WHEN status = 'voided' THEN 0 ELSE (SELECT CAST(SUM(refund.amount_cents) AS BIGINT) FROM refund
        WHERE refund.payment_id = payment.id AND refund.status = 'pending') END,
    status = CASE WHEN status = 'refunded' THEN 'captured' ELSE status END
    WHERE id IN (SELECT payment_id FROM refund WHERE refund.status = 'pending');
UPDATE refund SET status = 'voided'
    WHERE status = 'pending' AND payment_id IN (SELECT id FROM payment WHERE payment.status = 'voided');
