//! (under construction)
pub mod edits {
    //! stub
    /// stub
    pub fn refuse_protected(_: &http::HeaderName) -> Result<(), String> {
        Ok(())
    }
}
