-- Whose work it is, to count what is open of one user. Work that was opened before is found in the read model, if that has
-- followed by now; if not, it is counted for nobody.
ALTER TABLE saga ADD COLUMN user_id TEXT NOT NULL DEFAULT '';
UPDATE saga SET user_id = COALESCE((SELECT user_id FROM order_view WHERE order_view.order_id = saga.order_id), '')
    WHERE state = 'open';
CREATE INDEX saga_user ON saga (user_id) WHERE state = 'open';
