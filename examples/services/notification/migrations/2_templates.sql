-- What is said until an admin finds better words.
INSERT INTO template (name, version, subject, text, short, updated_by, updated_at) VALUES
('order.cancelled', 1, 'Your order is cancelled',
'Hello {{name}},

your order {{order_id}} is cancelled. What you paid comes back to you.

The shop',
'Your order is cancelled. What you paid comes back to you.', 'shop', 0),
('order.completed', 1, 'Thank you for your order',
'Hello {{name}},

your order {{order_id}} over {{total}} is paid and being packed. You hear from us when it leaves.

The shop',
'Thank you! Your order over {{total}} is being packed.', 'shop', 0),
('order.delayed', 1, 'Your order takes a little longer',
'Hello {{name}},

your order {{order_id}} takes longer than it should. You need not do anything: we finish it as soon as we can, and tell you.

The shop',
'Your order takes longer than it should. We finish it and tell you.', 'shop', 0),
('order.finished', 1, 'Your order is complete after all',
'Hello {{name}},

thank you for waiting: your order {{order_id}} over {{total}}, which took longer than it should, is paid and being packed.

The shop',
'Thank you for waiting: your order over {{total}} is being packed.', 'shop', 0),
('order.placed', 1, 'We have your order',
'Hello {{name}},

we have your order {{order_id}} and are at it.

The shop',
'We have your order and are at it.', 'shop', 0),
('order.rejected', 1, 'Your order could not be completed',
'Hello {{name}},

we are sorry: your order {{order_id}} could not be completed ({{reason}}). You pay nothing.

The shop',
'We are sorry: your order could not be completed. You pay nothing.', 'shop', 0),
('shipment.created', 1, 'Your parcel is packed',
'Hello {{name}},

your order {{order_id}} is packed. Its number is {{tracking}}.

The shop',
'Your parcel {{tracking}} is packed.', 'shop', 0),
('shipment.delivered', 1, 'Your parcel is there',
'Hello {{name}},

the parcel {{tracking}} with your order {{order_id}} is there. Tell others how you like it!

The shop',
'Your parcel {{tracking}} is there.', 'shop', 0),
('shipment.dispatched', 1, 'Your parcel is on its way',
'Hello {{name}},

the parcel {{tracking}} with your order {{order_id}} is on its way to you.

The shop',
'Your parcel {{tracking}} is on its way.', 'shop', 0),
('user.registered', 1, 'Welcome, {{name}}',
'Hello {{name}},

you are registered as {{email}}. Have a look around!

The shop',
'Welcome to the shop, {{name}}!', 'shop', 0);
