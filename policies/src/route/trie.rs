//! The trie of path segments, flat: all nodes in one array, all edges in one hash table.
//!
//! A node is one cache line, its label within; a step costs one probe, whatever the number of routes. A crate such as
//! `matchit` finds the best path pattern, but only that one (`Router::at` yields a single match, `insert` one value for
//! each pattern): it cannot go on to the next best when the method or a header of the first does not fit.

use ahash::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;
use std::hash::{BuildHasher, Hasher};

use super::path::Segment;
use super::table::Candidate;

/// No node.
pub(super) const NONE: u32 = u32::MAX;

/// Public seeds are safe here: only the document inserts, requests merely probe, and a probe for an unknown key
/// costs the same whatever its hash.
pub(super) const SEEDS: RandomState =
    RandomState::with_seeds(0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a);

/// Who waits in one place of the table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Behind {
    /// Nobody.
    #[default]
    Nobody,
    /// One alone, as nearly everywhere: found where it is looked for.
    One(Candidate),
    /// So many, side by side among the table's candidates from there on.
    Several { start: u32, len: u32 },
}

/// One place in the trie: the segments from a root to here.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Node {
    label: SmallVec<[u8; 16]>,
    parent: u32,
    /// Does any edge with a label begin here? Below most routes nothing does, and then nobody has to look.
    has_edges: bool,
    /// The child behind a free segment.
    pub(super) free: u32,
    /// Who matches a path that ends here.
    pub(super) closed: Behind,
    /// Who matches a path that ends here or goes on.
    pub(super) open: Behind,
}

const _: () = assert!(size_of::<Node>() == 64, "a node is one line of the cache");

/// The nodes of all hosts; each host has a root of its own.
#[derive(Debug, Default)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    edges: HashTable<u32>,
}

impl Trie {
    /// The node of that number.
    pub(super) fn node(&self, id: u32) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    /// The same, to fill in.
    pub(super) fn node_mut(&mut self, id: u32) -> Option<&mut Node> {
        self.nodes.get_mut(id as usize)
    }

    /// Where the edge with this label leads.
    pub(super) fn child(&self, parent: u32, label: &str) -> Option<u32> {
        self.node(parent).filter(|node| node.has_edges)?;
        let label = label.as_bytes();
        let leads_there = |id: &u32| {
            self.node(*id).is_some_and(|node| node.parent == parent && node.label.as_slice() == label)
        };
        self.edges.find(hash(parent, label), leads_there).copied()
    }

    /// A new root.
    pub(super) fn root(&mut self) -> u32 {
        self.push(NONE, "")
    }

    /// The node at the end of these segments, made if need be.
    pub(super) fn grow(&mut self, root: u32, segments: &[Segment]) -> u32 {
        segments.iter().fold(root, |node, segment| match segment {
            Segment::Free(_) => self.grow_free(node),
            Segment::Literal(label) => self.child(node, label).unwrap_or_else(|| self.grow_edge(node, label)),
        })
    }

    fn grow_free(&mut self, parent: u32) -> u32 {
        match self.node(parent).map(|node| node.free) {
            Some(NONE) | None => {
                let child = self.push(parent, "");
                if let Some(node) = self.node_mut(parent) {
                    node.free = child;
                }
                child
            }
            Some(child) => child,
        }
    }

    fn grow_edge(&mut self, parent: u32, label: &str) -> u32 {
        let child = self.push(parent, label);
        if let Some(node) = self.node_mut(parent) {
            node.has_edges = true;
        }
        let nodes = &self.nodes;
        let rehash = |id: &u32| nodes.get(*id as usize).map_or(0, |node| hash(node.parent, &node.label));
        self.edges.insert_unique(hash(parent, label.as_bytes()), child, rehash);
        child
    }

    fn push(&mut self, parent: u32, label: &str) -> u32 {
        let id = index(self.nodes.len());
        let (closed, open) = Default::default();
        let label = SmallVec::from_slice(label.as_bytes());
        self.nodes.push(Node { label, parent, has_edges: false, free: NONE, closed, open });
        id
    }
}

fn hash(parent: u32, label: &[u8]) -> u64 {
    let mut hasher = SEEDS.build_hasher();
    hasher.write_u32(parent);
    hasher.write(label);
    hasher.finish()
}

/// An index in 32 bits. `Table::build` bounds the text and the places of a document far below what would not fit.
pub(super) fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NONE)
}
