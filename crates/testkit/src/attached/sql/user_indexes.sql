-- What the platform's list of users is sorted by.

CREATE INDEX "ProjectUser_displayName_asc" ON "ProjectUser" ("tenancyId", "displayName" ASC);
CREATE INDEX "ProjectUser_displayName_desc" ON "ProjectUser" ("tenancyId", "displayName" DESC);
CREATE INDEX "ProjectUser_createdAt_asc" ON "ProjectUser" ("tenancyId", "createdAt" ASC);
