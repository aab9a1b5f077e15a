//! Tells shoppers by mail, SMS and push.
