//! What shoppers say of products.
