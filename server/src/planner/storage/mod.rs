//! Stub.
use crate::domain::layout::{Layout, LayoutProblem};
use wire::{facts::Facts, storage::StorageWork};
pub fn plan(_: &Layout, _: &Facts, _: &str) -> Result<StorageWork, Vec<LayoutProblem>> {
    Err(vec![])
}
pub fn fstab(_: &StorageWork) -> String {
    String::new()
}
