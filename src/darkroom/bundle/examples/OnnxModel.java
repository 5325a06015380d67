package com.example.model;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Collections;

/**
 * Asks @ONNX@ with ONNX Runtime. In build.gradle:
 * implementation 'com.microsoft.onnxruntime:onnxruntime-android:1.+'
 */
public final class OnnxModel implements AutoCloseable {
    private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
    private final OrtSession session;

    public OnnxModel(byte[] file, int threads) throws OrtException {
        OrtSession.SessionOptions options = new OrtSession.SessionOptions();
        options.setIntraOpNumThreads(threads);
        session = environment.createSession(file, options);
    }

    /** @param tensor of Preprocessing
     *  @return @RETURNED@ */
    public float[] probabilities(byte[] tensor) throws OrtException {
        ByteBuffer image = ByteBuffer.allocateDirect(tensor.length).order(ByteOrder.nativeOrder());
        image.put(tensor).rewind();
        long[] shape = {1, Preprocessing.HEIGHT, Preprocessing.WIDTH, Preprocessing.CHANNELS};
        try (OnnxTensor input = OnnxTensor.createTensor(environment, image, shape, OnnxJavaType.UINT8);
                OrtSession.Result result = session.run(Collections.singletonMap("image", input))) {
            FloatBuffer answer = ((OnnxTensor) result.get("probabilities").get()).getFloatBuffer();
            float[] probabilities = new float[answer.remaining()];
            answer.get(probabilities);
            return probabilities;
        }
    }

    @Override
    public void close() throws OrtException {
        session.close();
    }
}
