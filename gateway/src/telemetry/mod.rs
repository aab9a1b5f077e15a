//! (under construction)
use std::time::Duration;
/// Cells.
#[derive(Clone, Default)]
pub struct RouteCells;
/// One worker's side.
pub struct Worker;
impl Worker {
    /// Counts.
    pub fn finished(&self, _cells: &RouteCells) {}
    /// Counts.
    pub fn malformed(&self, _slug: &'static str) {}
    /// Counts.
    pub fn attempt(&self, _target: &str, _outcome: &'static str, _took: Duration) {}
}
/// All.
pub struct Telemetry;
impl Telemetry {
    /// One worker's side.
    pub fn worker(&self, _number: usize) -> Worker {
        Worker
    }
}
