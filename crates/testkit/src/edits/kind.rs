//! Every kind of live edit.

use std::fmt;

use rand::Rng;

macro_rules! kinds {
    ($($variant:ident $name:literal $weight:literal)*) => {
        /// What one live edit did. Its text names the section of the SQL files that does it.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum EditKind {
            $(#[doc = $name] $variant,)*
        }

        impl EditKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its text.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// How often it is chosen, beside the others. Chosen so that tables neither empty nor swell: what cascades is
            /// rare, what adds makes up for it.
            pub(super) const fn weight(self) -> u32 {
                match self { $(Self::$variant => $weight),* }
            }
        }
    };
}

kinds! {
    UserInserted "user inserted" 6
    UserChanged "user changed" 6
    UserSeen "user seen" 3
    UserRestricted "user restricted" 2
    UserDeleted "user deleted" 2
    UserRecreated "user deleted and created again" 1
    UserIdChanged "user id changed" 1
    UsersChangedInBulk "users changed in bulk" 1
    ChannelInserted "channel inserted" 6
    ChannelChanged "channel changed" 4
    ChannelDeleted "channel deleted" 3
    PrimaryAddressSwapped "primary address swapped" 4
    TeamInserted "team inserted" 4
    TeamRenamed "team renamed" 3
    TeamChanged "team changed" 3
    TeamDeleted "team deleted" 1
    TeamIdChanged "team id changed" 1
    MemberJoined "member joined" 9
    MemberChanged "member changed" 4
    MemberLeft "member left" 2
    MemberLeftAndRejoined "member left and rejoined" 4
    MemberLeftThenRejoined "member left, then rejoined" 4
    TeamPermissionGranted "team permission granted" 9
    TeamPermissionRevoked "team permission revoked" 2
    TeamPermissionRegranted "team permission revoked and granted again" 4
    ProjectPermissionGranted "project permission granted" 6
    ProjectPermissionRevoked "project permission revoked" 3
    ProjectPermissionRegranted "project permission revoked and granted again" 4
    InvitationSent "invitation sent" 6
    InvitationChanged "invitation changed" 4
    InvitationTypeChanged "invitation type changed" 4
    CodeUsed "code used" 2
    CodeDeleted "code deleted" 4
    EmailWritten "e-mail written" 4
    EmailMovedOn "e-mail moved on" 9
    EmailPausedOrSkipped "e-mail paused or skipped" 2
    EmailDeleted "e-mail deleted" 3
    ReplayStarted "replay started" 5
    ReplayContinued "replay continued" 6
    ReplayDeleted "replay deleted" 3
    TokenIssued "token issued" 9
    TokenUsed "token used" 9
    TokenRotated "token rotated" 2
    TokenDeleted "token deleted" 4
    TokensDeletedInBulk "tokens deleted in bulk" 1
    AccountConnected "account connected" 5
    AccountMoved "account moved" 4
    AccountUnlinked "account unlinked" 2
    AccountMovedThereAndBack "account moved there and back" 2
    AccountDeleted "account deleted" 2
    PreferenceChosen "preference chosen" 6
    PreferenceChanged "preference changed" 4
    PreferenceDeleted "preference deleted" 3
    RolledBack "rolled back" 2
    PartlyRolledBack "partly rolled back" 2
}

impl EditKind {
    /// One of them, by weight.
    pub fn draw(rng: &mut impl Rng) -> Self {
        let total = Self::ALL.iter().map(|kind| kind.weight()).sum();
        let mut draw = rng.random_range(0..total);
        let chosen = Self::ALL.iter().copied().find(|kind| {
            let chosen = draw < kind.weight();
            draw = draw.saturating_sub(kind.weight());
            chosen
        });
        chosen.expect("the draw is below the sum of all weights")
    }
}

impl fmt::Display for EditKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
