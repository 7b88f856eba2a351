SELECT
    ten."projectId" AS project_id,
    ten."branchId" AS branch_id,
    usr."projectUserId"::text AS id,
    usr."displayName" AS display_name,
    usr."profileImageUrl" AS profile_image_url,
    (
        SELECT cha."value" FROM "ContactChannel" AS cha
        WHERE cha."tenancyId" = usr."tenancyId" AND cha."projectUserId" = usr."projectUserId"
            AND cha."type"::text = 'EMAIL' AND cha."isPrimary" IS NOT NULL
    ) AS primary_email,
    CASE WHEN EXISTS (
        SELECT FROM "ContactChannel" AS cha
        WHERE cha."tenancyId" = usr."tenancyId" AND cha."projectUserId" = usr."projectUserId"
            AND cha."type"::text = 'EMAIL' AND cha."isPrimary" IS NOT NULL AND cha."isVerified"
    ) THEN '1' ELSE '0' END AS primary_email_verified,
    pg_temp.oracle_millis(CASE WHEN usr."signedUpAt" IS NULL THEN usr."createdAt" ELSE usr."signedUpAt" END) AS signed_up_at,
    CASE WHEN usr."clientMetadata" IS NULL THEN '{}' ELSE usr."clientMetadata"::text END AS client_metadata,
    CASE WHEN usr."clientReadOnlyMetadata" IS NULL THEN '{}' ELSE usr."clientReadOnlyMetadata"::text END AS client_read_only_metadata,
    CASE WHEN usr."serverMetadata" IS NULL THEN '{}' ELSE usr."serverMetadata"::text END AS server_metadata,
    pg_temp.oracle_bool(usr."isAnonymous") AS is_anonymous,
    pg_temp.oracle_bool(usr."restrictedByAdmin") AS restricted_by_admin,
    usr."restrictedByAdminReason" AS restricted_by_admin_reason,
    usr."restrictedByAdminPrivateDetails" AS restricted_by_admin_private_details
FROM "ProjectUser" AS usr, "Tenancy" AS ten
WHERE ten."id" = usr."tenancyId"
