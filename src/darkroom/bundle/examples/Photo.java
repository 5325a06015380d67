package com.example.model;

import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.graphics.ColorSpace;
import android.media.ExifInterface;
import java.io.ByteArrayInputStream;
import java.io.IOException;

/** Decodes a photo on Android (API 26 or newer) at full size: no inSampleSize, no scaling, sRGB. */
public final class Photo {
    private Photo() {}

    /** @param encoded bytes of a JPEG, PNG, WebP */
    public static Preprocessing prepared(byte[] encoded) throws IOException {
        BitmapFactory.Options options = new BitmapFactory.Options();
        options.inScaled = false;
        options.inPremultiplied = false;
        options.inPreferredConfig = Bitmap.Config.ARGB_8888;
        options.inPreferredColorSpace = ColorSpace.get(ColorSpace.Named.SRGB);
        Bitmap bitmap = BitmapFactory.decodeByteArray(encoded, 0, encoded.length, options);
        if (bitmap == null) throw new IOException("not a picture that Android decodes");
        int width = bitmap.getWidth(), height = bitmap.getHeight();
        int[] argb = new int[width * height];
        bitmap.getPixels(argb, 0, width, 0, 0, width, height);
        int orientation = new ExifInterface(new ByteArrayInputStream(encoded))
                .getAttributeInt(ExifInterface.TAG_ORIENTATION, 1);
        return new Preprocessing(argb, width, height, orientation);
    }
}
