-- Only for a CRM without a project: the demo, and a first try on an empty database.
WITH owner AS (
    INSERT INTO users (name, email, password_hash, role, created_at, updated_at)
    VALUES ('Ventros', 'owner@ventros.invalid', '!', 'admin', now(), now())
    RETURNING id
), account AS (
    INSERT INTO billing_accounts (user_id, name, billing_email, payment_status, created_at, updated_at)
    SELECT id, 'Ventros', 'owner@ventros.invalid', 'active', now(), now() FROM owner
    RETURNING id, user_id
)
INSERT INTO projects (user_id, billing_account_id, tenant_id, name, created_at, updated_at)
SELECT user_id, id, 'ventros', 'Ventros', now(), now() FROM account
